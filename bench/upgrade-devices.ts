/**
 * Devices of `bench upgrade`: copies of one that really enrolled, as many as wanted, each with a token, an identity and a push
 * address of its own. They sleep until the push service wakes them, and then answer at once, whatever they are asked.
 *
 * The way is that behind a proxy: HTTP at the loopback port of the instance, with the certificate in a `Client-Cert` header
 * (RFC 9440). A device follows a 421 to its account's new owner, as a router does. Invariant: a request that is not answered
 * with 200 in the end is counted, and none is forgotten.
 */
import { Agent, request as startRequest } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { pushOperations } from '../src/api/push.ts';
import { parseCommand } from '../src/protocol/apple/command.ts';
import { serializeConnect } from '../src/protocol/apple/connect.ts';
import { startApnsPlayer } from '../src/simulator/apns-player.ts';
import { type DeviceMemory, executeCommand } from '../src/simulator/command-execution.ts';
import { type DevicePlan, deviceKinds, planDevice } from '../src/simulator/fleet-plan.ts';
import { createLoopbackCertificate } from '../src/simulator/loopback-certificate.ts';
import { seededRandom } from '../src/simulator/seeded-random.ts';
import type { RunningDomain } from '../test/harness/domain.ts';
import type { BenchDevice } from './connect.ts';

export interface PromptDevices {
  readonly devices: number;
  counts(): PromptCounts;
  close(): Promise<void>;
}

export interface PromptCounts {
  pushes: number;
  requests: number;
  commands: number;
  /** Answers that sent a device elsewhere or asked it to come later: both are expected while accounts move. */
  elsewhere: number;
  later: number;
  /** Contacts that ended without a 200. */
  failed: number;
  firstFailure?: string;
}

interface PromptDevice {
  path: string;
  udid: string;
  magic: string;
  topic: string;
  certificate: string;
  owner: string;
  underWay: boolean;
  wokenAgain: boolean;
}

/** Two devices for every odd account, one for the others: 30,000 of 20,000. They enrolled yesterday: not all of them just now. */
export async function addAccountsWithDevices(
  domain: RunningDomain,
  like: BenchDevice,
  accounts: number,
): Promise<void> {
  const stem = Buffer.from(like.certificate, 'base64').subarray(0, -16);
  await domain.sql`
    with places as (
      select id, row_number() over (order by name) - 1 as n, count(*) over () as instances from instance
    ), added as (
      insert into account (id, name, display_name, instance_id)
      select gen_random_uuid(), 'person-' || k, 'person', p.id
        from generate_series(1, ${accounts}::int) k join places p on p.n = k % p.instances
      returning id, name, instance_id
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id) select id, 1, instance_id from added
    ), wanted as (
      select a.id as account_id, gen_random_uuid() as id from added a,
             lateral generate_series(1, 1 + substr(a.name, 8)::int % 2) k
    )
    insert into device
    select copy.* from wanted w, device enrolled,
           lateral jsonb_populate_record(null::device, to_jsonb(enrolled) || jsonb_build_object(
             'id', w.id, 'account_id', w.account_id, 'token', rpad('bench-' || w.id, 43, '-'), 'udid', upper(w.id::text),
             'push_token', sha256(uuid_send(w.id)), 'authenticated_at', now() - interval '1 day',
             'identity_certificate', ${stem}::bytea || uuid_send(w.id),
             'identity_fingerprint', encode(sha256(${stem}::bytea || uuid_send(w.id)), 'hex'))) copy
     where enrolled.udid = ${like.udid}`;
  // As in a domain that has grown over years.
  await domain.sql`vacuum analyze`;
}

/** Takes the domain's pushes over, for all of its active devices. */
export async function startPromptDevices(
  domain: RunningDomain,
  urls: () => Promise<Map<string, URL>>,
): Promise<PromptDevices> {
  const byPushToken = await readDevices(domain);
  const counts: PromptCounts = { pushes: 0, requests: 0, commands: 0, elsewhere: 0, later: 0, failed: 0 };
  const agent = new Agent({ keepAlive: true, maxSockets: 64, timeout: 4000 });
  const ending = new AbortController();
  const under = { agent, counts, directory: createDirectory(urls), signal: ending.signal };
  const player = await startApnsPlayer({
    certificate: await createLoopbackCertificate('Push service of the bench'),
    random: seededRandom('bench'),
    find(pushToken) {
      const device = byPushToken.get(pushToken);
      if (device === undefined) return undefined;
      const { topic, magic } = device;
      return { topic, magic, refused: () => void counts.failed++, wake: () => wake(under, device) };
    },
  });
  await domain.api.call(pushOperations.replace, { body: { url: player.url, caPem: player.caPem } });
  return {
    devices: byPushToken.size,
    counts: () => ({ ...counts }),
    async close() {
      ending.abort();
      await player.close();
      agent.destroy();
    },
  };
}

async function readDevices(domain: RunningDomain): Promise<Map<string, PromptDevice>> {
  const rows = await domain.sql<
    { push: string; token: string; udid: string; magic: string; topic: string; der: Buffer; owner: string }[]
  >`
    select encode(d.push_token, 'hex') as push, d.token, d.udid, d.push_magic as magic, d.topic,
           d.identity_certificate as der, i.srp_identifier as owner
      from device d join account a on a.id = d.account_id join instance i on i.id = a.instance_id
     where d.state = 'active'`;
  return new Map(
    rows.map(({ push, der, token, ...device }) => [
      push,
      {
        ...device,
        path: `/mdm/${token}/connect`,
        certificate: `:${der.toString('base64')}:`,
        underWay: false,
        wokenAgain: false,
      },
    ]),
  );
}

interface Surroundings {
  agent: Agent;
  counts: PromptCounts;
  directory: { find(owner: string): Promise<URL> };
  signal: AbortSignal;
}

function wake(around: Surroundings, device: PromptDevice): void {
  around.counts.pushes++;
  device.wokenAgain = device.underWay;
  if (device.underWay) return;
  device.underWay = true;
  contact(around, device)
    .catch((error: unknown) => {
      if (around.signal.aborted) return;
      around.counts.failed++;
      around.counts.firstFailure ??= String(error);
    })
    .finally(() => {
      device.underWay = false;
      if (device.wokenAgain && !around.signal.aborted) wake(around, device);
    });
}

/** Idle, then answer after answer until there is no further command. */
async function contact(around: Surroundings, device: PromptDevice): Promise<void> {
  const { udid } = device;
  const memory: DeviceMemory = { profiles: new Map(), options: {}, locked: false, enrolmentProfile: undefined };
  let body = serializeConnect({ status: 'Idle', udid });
  for (;;) {
    const reply = await send(around, device, body);
    if (reply.length === 0) return;
    around.counts.commands++;
    const command = parseCommand(reply);
    const { status, content } = executeCommand(command, planOf(udid), memory);
    body = serializeConnect({ status, udid, commandUuid: command.commandUuid, payload: content });
  }
}

/** The newest phone: the one that enrolled is one too. */
const [kind] = deviceKinds
  .filter(({ system }) => system === 'iOS')
  .toSorted((a, b) => Number.parseFloat(b.osVersion) - Number.parseFloat(a.osVersion));
function planOf(udid: string): DevicePlan {
  if (kind === undefined) throw new TypeError('the simulator knows no phone');
  return { ...planDevice('bench', udid, kind), udid };
}

const maxTries = 100;
const laterMs = 20;

/** Until a 200. @throws Error where none comes, or an answer that no move explains */
async function send(around: Surroundings, device: PromptDevice, body: Buffer): Promise<Buffer> {
  const { counts, directory, signal } = around;
  for (let tries = 0; tries < maxTries; tries++) {
    const reply = await put(around, device, body, await directory.find(device.owner));
    counts.requests++;
    if (reply.status === 200) return reply.body;
    if (reply.status === 421 && reply.owner !== undefined) {
      counts.elsewhere++;
      device.owner = reply.owner;
    } else if (reply.status === 503) {
      counts.later++;
      await delay(laterMs, undefined, { signal });
    } else throw new Error(`a device was answered ${reply.status}`);
  }
  throw new Error('a device was not served');
}

interface Reply {
  status: number;
  owner: string | undefined;
  body: Buffer;
}

function put({ agent, signal }: Surroundings, device: PromptDevice, body: Buffer, url: URL): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const sending = startRequest({
      ...{ agent, signal, method: 'PUT', host: url.hostname, port: url.port, path: device.path },
      headers: {
        'content-type': 'application/x-apple-aspen-mdm',
        'content-length': body.length,
        'client-cert': device.certificate,
      },
    });
    sending.on('error', reject);
    sending.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const owner = response.headers['bramble-owner'];
        const [status, whole] = [response.statusCode ?? 0, Buffer.concat(chunks)];
        resolve({ status, owner: typeof owner === 'string' ? owner : undefined, body: whole });
      });
    });
    sending.end(body);
  });
}

/** Where the instances listen, by SRP identifier; asked anew for one that is not known. */
function createDirectory(read: () => Promise<Map<string, URL>>) {
  let known = new Map<string, URL>();
  return {
    async find(owner: string): Promise<URL> {
      if (!known.has(owner)) known = await read();
      const url = known.get(owner);
      if (url === undefined) throw new Error(`no instance has the SRP identifier ${owner}`);
      return url;
    },
  };
}
