/**
 * A connection service is replaced in place while devices have tunnels open through it, over each of two routers: its successor takes
 * the identifier at both, and what is open stays with the one before until it is closed, or its drain comes to the limit.
 */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { createServer, type Server } from 'node:net';
import { after, before, describe, test } from 'node:test';
import type { SrpLink } from '../../link/dialler.ts';
import type { TestIdentity } from '../../link/link-fixture.ts';
import { until } from '../../testing/condition.ts';
import { createStage, listenLoopback, nextUp, type Stage } from '../router/router-fixture.ts';
import { createTunnels, type Tunnels } from './tunnel.ts';

const service = 'C00000001';

describe('a connection service that is replaced in place', () => {
  let echo: Server;
  let target: string;
  const stages: Stage[] = [];
  const sessions: ClientHttp2Session[] = [];

  before(async () => {
    echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
    target = `127.0.0.1:${await listenLoopback(echo)}`;
    for (let router = 0; router < 2; router++) {
      const stage = await createStage({ tunnelHost: 'tunnel.test' });
      const device = await stage.devices.issue('device');
      const fingerprint = createHash('sha256').update(new X509Certificate(device.certificatePem).raw).digest('hex');
      stage.routes.set(fingerprint, { identifier: 'S00000001', connectionServices: [service] });
      await nextUp(await stage.dial('S00000001'));
      stages.push(stage);
      sessions.push(dialSession(stage, device));
    }
  });
  after(async () => {
    for (const session of sessions) session.destroy();
    await Promise.all(stages.map((stage) => stage.close()));
    echo.close();
  });

  function dialSession(stage: Stage, identity: TestIdentity): ClientHttp2Session {
    return connect(`https://tunnel.test:${stage.publicPort}`, {
      ...{ host: '127.0.0.1', servername: 'tunnel.test', ca: stage.domain.certificatePem },
      ...{ cert: identity.certificatePem, key: identity.privateKeyPem },
    });
  }

  /** Linked to both routers. */
  async function startService(): Promise<{ tunnels: Tunnels; links: SrpLink[] }> {
    const tunnels = createTunnels({
      rights: async (asked) => ({
        authorizations: new Map(asked.map((each) => [each, 'allowed'])),
        elsewhere: new Map(),
        rule: { hosts: { covers: () => true, namesWithin: () => true, namesExactly: () => true }, own: [] },
      }),
    });
    const handlers = { tunnel: tunnels.handle };
    const links = await Promise.all(stages.map((stage) => stage.dial(service, { handlers })));
    await Promise.all(links.map(nextUp));
    return { tunnels, links };
  }

  async function open(session: ClientHttp2Session) {
    const stream = session.request({ ':method': 'CONNECT', ':authority': target });
    stream.on('error', () => undefined);
    const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
    assert.equal(headers[':status'], 200);
    return stream;
  }

  async function echoes(stream: Awaited<ReturnType<typeof open>>): Promise<void> {
    stream.write('still there?');
    let heard = '';
    while (heard.length < 12) heard += String((await once(stream, 'data'))[0]);
    assert.equal(heard, 'still there?');
  }

  test('keeps its open tunnels over both routers until they are closed, and ends and counts those left at the limit', async () => {
    const former = await startService();
    const short = await Promise.all(sessions.map(open));
    const long = await Promise.all(sessions.map(open));
    assert.equal(former.tunnels.open, 4);
    const successor = await startService();
    // Superseded at both: what is open goes on, and what is new goes to the successor.
    await Promise.all([...short, ...long].map(echoes));
    const fresh = await Promise.all(sessions.map(open));
    assert.deepEqual([former.tunnels.open, successor.tunnels.open], [4, 2]);

    const cut = long.map((stream) => new Promise<void>((resolve) => stream.once('close', () => resolve())));
    const drained = former.tunnels.drain(500);
    await Promise.all(short.map(echoes));
    for (const stream of short) stream.end();
    await until('the short ones are closed', 60_000, () => former.tunnels.open <= 2);
    assert.equal(await drained, 2);
    await Promise.all(cut);
    assert.ok(long.every(({ rstCode }) => rstCode !== 0));
    assert.ok(
      short.every(({ rstCode }) => rstCode === 0),
      'these ended in good order',
    );
    await Promise.all(former.links.map((link) => link.close(100)));
    await Promise.all(fresh.map(echoes));
    assert.equal(successor.tunnels.open, 2);
  });
});
