/** For tests only: a router on free loopback ports, instances and services that dial it, and devices that ask it. */

import { type KeyObject, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpsRequest } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { connectLink, type LinkOptions, type SrpLink } from '../../link/dialler.ts';
import {
  createTestAuthority,
  issueTestCredential,
  type TestAuthority,
  type TestIdentity,
} from '../../link/link-fixture.ts';
import type { LinkComponent, RevocationList, RouteAnswer, SignedEnvelope } from '../../link/messages.ts';
import { signEnvelope } from '../../link/signed-envelope.ts';
import type { ControlMessage } from '../../link/trusted-authorities.ts';
import { registeredPlatforms } from '../../platforms/registered/platforms.ts';
import { silentLogger } from '../../process/log/logger.ts';
import { inTime } from '../../testing/condition.ts';
import { createRouter, type Router, type RouterOptions } from './router.ts';

export interface Stage {
  domain: TestAuthority;
  devices: TestAuthority;
  identity: TestIdentity;
  router: Router;
  publicPort: number;
  srpPort: number;
  /** token, fingerprint or account → owner and services, as every instance answers. */
  routes: Map<string, Omit<RouteAnswer, 'token' | 'certificate' | 'account'>>;
  options: RouterOptions;
  /** What every instance pushes on its control stream when it opens. */
  list: SignedEnvelope | null;
  /** Pushes to the control streams that are open. */
  push: (list: RevocationList, key?: KeyObject) => void;
  /** The same with all statements about authorities, which come before the list when a stream opens. */
  say: (authorities: SignedEnvelope[]) => void;
  dial: (identifier: string, options?: Partial<LinkOptions>) => Promise<SrpLink>;
  /** Drains the router and starts another on the same state, on new ports. */
  restart: () => Promise<void>;
  close: () => Promise<void>;
}

export const newToken = (): string => randomBytes(32).toString('base64url');

export function testComponent(name: string, host = 'host-a', bootId = 'boot-a'): LinkComponent {
  return { name, host, bootId, processId: process.pid, release: '1.0.0', linkVersions: [1], features: [] };
}

export async function listenLoopback(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

export async function createStage(overrides: Partial<RouterOptions> = {}): Promise<Stage> {
  const [domain, devices] = await Promise.all([createTestAuthority('Domain'), createTestAuthority('Devices')]);
  const identity = await domain.issue('router', ['router.test', 'tunnel.test']);
  const folder = await mkdtemp(join(tmpdir(), 'bramble-router-'));
  const options: RouterOptions = {
    platforms: registeredPlatforms,
    component: testComponent('router-1'),
    ...identity,
    domainAuthorityPem: domain.certificatePem,
    statePath: join(folder, 'state.json'),
    log: silentLogger,
    linkPatienceMs: 0,
    ...overrides,
  };
  const links: SrpLink[] = [];
  const pushes = new Set<(message: ControlMessage) => void>();
  let said: SignedEnvelope[] = [];
  const router = await createRouter(options);
  const stage: Stage = {
    domain,
    devices,
    identity,
    router,
    options,
    routes: new Map(),
    list: null,
    publicPort: await listenLoopback(router.publicServer),
    srpPort: await listenLoopback(router.srpServer),
    push: (list, key = domain.key) => {
      stage.list = signEnvelope(list, key);
      for (const push of pushes) push(stage.list);
    },
    say: (authorities) => {
      said = authorities;
      for (const push of pushes) push({ statements: said });
    },
    dial: async (identifier, given = {}) => {
      const credential = await issueTestCredential(domain, identifier, stage.srpPort);
      const link = connectLink({
        router: { host: '127.0.0.1', port: stage.srpPort, serverName: 'router.test' },
        credential: () => credential,
        component: testComponent(identifier),
        ...given,
        handlers: {
          routes: {
            answer: async ({ tokens, certificates, accounts = [] }) => [
              ...tokens.map((token) => ({ token, ...known(token) })),
              ...certificates.map((certificate) => ({ certificate, ...known(certificate) })),
              ...accounts.map((account) => ({ account, ...known(account) })),
            ],
            sign: (value) => signEnvelope(value, domain.key),
          },
          control: (push, signal) => {
            pushes.add(push);
            if (said.length > 0) push({ statements: said });
            if (stage.list) push(stage.list);
            signal.addEventListener('abort', () => pushes.delete(push));
          },
          ...given.handlers,
        },
      });
      links.push(link);
      return link;
    },
    restart: async () => {
      await stage.router.drain(100);
      stage.router = await createRouter(options);
      stage.publicPort = await listenLoopback(stage.router.publicServer);
      stage.srpPort = await listenLoopback(stage.router.srpServer);
    },
    close: async () => {
      await Promise.all(links.map((link) => link.close(100)));
      await stage.router.drain(100);
      await rm(folder, { recursive: true, force: true });
    },
  };
  const known = (key: string) => stage.routes.get(key) ?? { identifier: null, connectionServices: [] };
  return stage;
}

/** Resolves with the arguments of the event's next occurrence. */
export function nextUp(link: SrpLink): Promise<void> {
  const up = new Promise<void>((resolve) => link.events.once('up', () => resolve()));
  return link.up ? Promise.resolve() : inTime('the link is up', 120_000, up);
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
  code: string | undefined;
  /** Whether TLS resumed an earlier session. */
  resumed?: boolean;
}

/** One request of a device over HTTP/1.1. */
export function ask(
  stage: Stage,
  path: string,
  given: {
    method?: string;
    body?: string | Buffer;
    headers?: Record<string, string>;
    device?: TestIdentity;
    agent?: Agent;
    localAddress?: string;
    /** What the device trusts. */
    ca?: string;
  } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest({
      host: '127.0.0.1',
      port: stage.publicPort,
      servername: 'router.test',
      ca: given.ca ?? stage.domain.certificatePem,
      path,
      method: given.method ?? 'PUT',
      headers: given.headers ?? {},
      ...(given.device ? { cert: given.device.certificatePem, key: given.device.privateKeyPem } : {}),
      agent: given.agent ?? new Agent({ keepAlive: false }),
      localAddress: given.localAddress,
    });
    request.on('error', reject);
    // Node's client emits the answer to a CONNECT as this event.
    request.on('connect', ({ statusCode = 0, headers }) =>
      resolve({ status: statusCode, headers, body: '', code: undefined }),
    );
    request.on('response', (response) => {
      const resumed = (response.socket as TLSSocket).isSessionReused();
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        const code = response.headers['bramble-code'];
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body,
          code: typeof code === 'string' ? code : undefined,
          resumed,
        });
      });
    });
    request.end(given.body);
  });
}

/** A TLS connection of a device, on which a test can write anything. */
export async function connectRaw(stage: Stage, given: ConnectionOptions & { device?: TestIdentity } = {}) {
  const { device, ...options } = given;
  const socket = tlsConnect({
    host: '127.0.0.1',
    port: stage.publicPort,
    servername: 'router.test',
    ca: stage.domain.certificatePem,
    ALPNProtocols: ['http/1.1'],
    ...(device ? { cert: device.certificatePem, key: device.privateKeyPem } : {}),
    ...options,
  });
  await once(socket, 'secureConnect');
  socket.on('error', () => undefined);
  return socket;
}

/** Sends bytes as they are (Latin-1) and reads one answer of HTTP/1.1 with its body; the connection is then cut. */
export async function askRaw(
  stage: Stage,
  text: string,
  given: Parameters<typeof connectRaw>[1] = {},
): Promise<Answer> {
  const socket = await connectRaw(stage, given);
  socket.write(text, 'latin1');
  let heard = '';
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    heard += chunk.toString('latin1');
    const answer = answerIn(heard);
    if (answer) return answer;
  }
  throw new Error(`no answer, but "${heard.slice(0, 200)}"`);
}

/** The first answer, once it is whole. */
function answerIn(heard: string): Answer | undefined {
  const end = heard.indexOf('\r\n\r\n');
  if (end === -1) return undefined;
  const [status = '', ...lines] = heard.slice(0, end).split('\r\n');
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const body = heard.slice(end + 4);
  if (body.length < Number(headers['content-length'] ?? 0)) return undefined;
  return { status: Number(status.split(' ')[1]), headers, body, code: headers['bramble-code'] };
}

/** The connection preface of an HTTP/2 client. */
export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** A frame of HTTP/2 (RFC 9113 §4.1). */
export function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
