/**
 * Whatever is sent to the administration service, or to the coordinator while none is at work, it is the sender's fault or it
 * is done: a seeded fuzz over every operation of the OpenAPI document, each request by everybody: each role, one who is limited to
 * groups, one who may do everything, and nobody. Every answer is one that the document declares.
 *
 * `FUZZ_SEED` repeats a run. `FUZZ_CASES=200 node --test test/system/rest-fuzz.test.ts` makes it longer, in cases for each operation
 * and asker (default 6: each run draws others); alone, as under the runner of all tests a file has a quarter of an hour.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { Agent, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { createToken } from '../../src/access/administrator-tokens.ts';
import { createApiToken } from '../../src/access/api-tokens.ts';
import { predefinedRoleNames } from '../../src/api/rights.ts';
import { messageOf } from '../../src/base/errors.ts';
import { type Database, openDatabase } from '../../src/database/connection.ts';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { writeMasterKeys } from '../../src/database/sealed-value.ts';
import { configureForHosts, startAdministration } from '../../src/processes/administration/administration-fixture.ts';
import {
  startCoordinatorEndpoint,
  startTestUpgrade,
} from '../../src/processes/coordinator/coordinator-endpoint-fixture.ts';
import { readOpenUpgrade } from '../../src/upgrade/state/upgrade-store.ts';
import { insertTestDomain, insertTestInstance } from '../../src/upgrade/steps/domain-fixture.ts';
import {
  type Case,
  caseOf,
  type DescribedOperation,
  type Document,
  type Json,
  operationsOf,
} from '../fuzz/rest-cases.ts';

const seed = Number(process.env['FUZZ_SEED'] ?? randomInt(2 ** 31));
const casesEach = Number(process.env['FUZZ_CASES'] ?? 6);
/** Of an operation. */
const limitMs = 300_000;

const unlimited = { burst: 1e9, perSecond: 1e9 };
const admin = await startAdministration({ rates: { administrator: unlimited, unknown: unlimited } });
await configureForHosts(admin);
await mkdir(join(admin.home, 'keys'), { recursive: true });
await writeMasterKeys(join(admin.home, 'keys', 'master.json'), admin.context.masterKeys);
const agent = new Agent({ keepAlive: true });
after(async () => {
  agent.destroy();
  await admin.close();
});
await admin.call('POST', '/accounts', { name: 'ada', instance: 'one' });
await admin.call('POST', '/groups', { name: 'sales' });
await admin.call('PUT', '/groups/sales/members/ada');

const document = (await (await fetch(`${admin.url}/api/v1/openapi.json`)).json()) as Document & Json;
const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(document, 'api');

interface Answer {
  readonly status: number;
  readonly media: string;
  readonly text: string;
}

/** Refuses an answer that the document does not declare for the operation. */
function assertDeclared(operation: DescribedOperation, { status, media, text }: Answer): void {
  const pointer = ['paths', operation.path, operation.method.toLowerCase(), 'responses', String(status)];
  const declared = at(document, pointer);
  assert.ok(declared, `${status} is not declared: ${text.slice(0, 300)}`);
  const shared = declared['$ref'];
  const place = typeof shared === 'string' ? shared.slice(2).split('/') : pointer;
  const content = at(document, [...place, 'content']);
  if (content === undefined) {
    assert.equal(text, '');
    return;
  }
  assert.ok(content[media], `${status} is declared as ${Object.keys(content).join()}, not ${media}`);
  if (!/^application\/(problem\+)?json$/.test(media)) return;
  const fits = shapeAt([...place, 'content', media, 'schema']);
  assert.ok(fits(JSON.parse(text)), `${status} ${ajv.errorsText(fits.errors)}: ${text.slice(0, 300)}`);
}

const shapes = new Map<string, ValidateFunction>();

function shapeAt(place: readonly string[]): ValidateFunction {
  const path = place.map((part) => encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'))).join('/');
  const shape = shapes.get(path) ?? ajv.getSchema(`api#/${path}`);
  assert.ok(shape);
  shapes.set(path, shape as ValidateFunction);
  return shape as ValidateFunction;
}

function at(value: Json, keys: readonly string[]): Json | undefined {
  return keys.reduce<Json | undefined>((current, key) => current?.[key] as Json | undefined, value);
}

interface Asker {
  readonly name: string;
  /** Undefined for nobody. */
  readonly token?: string;
}

interface Service {
  readonly name: string;
  readonly url: string;
  readonly askers: readonly Asker[];
  readonly operations: readonly DescribedOperation[];
  /** Before each case. */
  prepare?(): Promise<void>;
}

async function askersOf(db: Database, everything: string, groups: readonly string[]): Promise<Asker[]> {
  const make = async (name: string, role: string, within: readonly string[] | null): Promise<Asker> => {
    const made = { name, role, groups: within, expiresAt: null, createdBy: 'first' };
    return { name, token: (await db.begin((tx) => createApiToken(tx, made))) as string };
  };
  const roles: Asker[] = [];
  for (const role of predefinedRoleNames) roles.push(await make(`of ${role}`, role, null));
  const limited = await make('limited to groups', 'senior-helpdesk', groups);
  return [{ name: 'who may do everything', token: everything }, ...roles, limited, { name: 'nobody' }];
}

/** A coordinator of an upgrade that is in another state at every case. */
async function startCoordinator(all: readonly DescribedOperation[]): Promise<Service> {
  const { url } = await createTestDatabase();
  const db = openDatabase(url, { applicationName: 'bramble/test', max: 3 });
  await insertTestDomain(db);
  await insertTestInstance(db, { name: 'one', accounts: 3 });
  const endpoint = await startCoordinatorEndpoint(db);
  after(async () => {
    await endpoint.close();
    await db.end({ timeout: 5 });
  });
  const token = await createToken(db, 'ada');
  assert.notEqual(token, 'name-taken');
  let cases = 0;
  return {
    name: 'the coordinator',
    url: endpoint.url,
    askers: await askersOf(db, token, []),
    operations: all.filter(({ path }) => /\/(upgrade(\/(?!plan|start)|$)|assignment$)/.test(path)),
    prepare: async () => {
      cases += 1;
      if ((await readOpenUpgrade(db)) === undefined) await startTestUpgrade(db);
      const state = upgradeStates[cases % upgradeStates.length] ?? '';
      await db`
        update upgrade set state = ${state}, paused_from = ${state === 'paused' ? 'moving' : null}
         where finished_at is null`;
    },
  };
}

const upgradeStates = ['checked', 'admin-upgraded', 'moving', 'paused', 'all-moved', 'soaking', 'reversing'];

/** As it is written: nothing of the path is resolved before it is sent. */
async function send(
  service: Service,
  method: string,
  { headers, url, type, body }: Case,
  asker: Asker,
): Promise<Answer> {
  const authorization = asker.token === undefined ? {} : { authorization: `Bearer ${asker.token}` };
  const typed = body === null ? {} : { 'content-type': type, 'content-length': body.length };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const { hostname, port } = new URL(service.url);
    const options = {
      agent,
      host: hostname,
      port,
      method,
      path: url,
      headers: { ...headers, ...authorization, ...typed },
    };
    request(options, resolve).once('error', reject).end(body);
  });
  const [media = ''] = (response.headers['content-type'] ?? '').split(';');
  return { status: response.statusCode ?? 0, media, text: await textOf(response) };
}

async function assertAnsweredWell(service: Service, operation: DescribedOperation, one: Case, asker: Asker) {
  const answer = await send(service, operation.method, one, asker);
  assert.ok(answer.status < 500, `${answer.status} ${answer.text}`);
  assertDeclared(operation, answer);
  if (answer.status < 400) return;
  const { code } = JSON.parse(answer.text) as Record<string, unknown>;
  assert.match(String(code), /^ERR_[A-Z0-9_]+$/);
}

async function answersOnlyTheSender(service: Service, operation: DescribedOperation): Promise<void> {
  for (const [number, one] of fc.sample(caseOf(operation), { seed, numRuns: casesEach }).entries()) {
    await service.prepare?.();
    await Promise.all(
      service.askers.map(async (asker) => {
        await assertAnsweredWell(service, operation, one, asker).catch((cause: unknown) => {
          const { url, headers, type } = one;
          const body = one.body === null ? null : Buffer.from(one.body).toString('base64').slice(0, 20_000);
          const sent = JSON.stringify({ url, headers, type, body });
          const said = `${messageOf(cause)}\ncase ${number} of FUZZ_SEED=${seed}, asked by ${asker.name}: ${sent}`;
          throw new Error(said, { cause });
        });
      }),
    );
  }
}

const all = operationsOf(document);
const [sales] = await admin.db<{ id: string }[]>`select id from account_group where name = 'sales'`;
const administration: Service = {
  ...{ name: 'the administration service', url: admin.url, operations: all },
  askers: await askersOf(admin.db, admin.token, [sales?.id ?? '']),
};
const coordinator = await startCoordinator(all);

test('the coordinator serves eleven operations of the document', () => {
  assert.equal(coordinator.operations.length, 11);
});

for (const service of [administration, coordinator]) {
  for (const operation of service.operations) {
    const name = `${operation.method} ${operation.path} of ${service.name}`;
    test(`${name} answers wrong input with an error that is the sender's`, { timeout: limitMs }, async () => {
      await answersOnlyTheSender(service, operation);
    });
  }
}
