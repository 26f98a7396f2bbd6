/** A router that takes up its renewed certificate while devices and instances are connected. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { Agent } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect as tlsConnect } from 'node:tls';
import { silentLogger } from '../../process/log/logger.ts';
import { until } from '../../testing/condition.ts';
import { followCertificate } from './certificate-renewal.ts';
import { ask, createStage, newToken, nextUp, type Stage } from './router-fixture.ts';

const limited = { timeout: 120_000 };
let stage: Stage;
before(async () => {
  stage = await createStage();
});
after(() => stage.close());

/** Serial number of what the port shows to a newcomer. */
async function shownAt(port: number): Promise<string> {
  const socket = tlsConnect({ host: '127.0.0.1', port, servername: 'router.test', rejectUnauthorized: false });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  const { raw } = socket.getPeerCertificate();
  socket.destroy();
  return new X509Certificate(raw).serialNumber;
}

test('newcomers see the renewed certificate at both ports; what is connected goes on', limited, async (t) => {
  const { router, domain, options, identity } = stage;
  const folder = await mkdtemp(join(tmpdir(), 'bramble-certificate-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, 'router.json');
  const token = newToken();
  const answered: string[] = [];
  stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
  const link = await stage.dial('S00000001', {
    handlers: {
      request: (request, response) => {
        answered.push(request.url ?? '');
        request.resume();
        response.end('ok');
      },
    },
  } as Parameters<Stage['dial']>[1]);
  await nextUp(link);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  t.after(() => agent.destroy());
  const request = () => ask(stage, `/mdm/${token}/connect`, { agent, body: 'x' });
  assert.equal((await request()).status, 200);
  const [socket] = Object.values(agent.freeSockets).flat();
  assert.ok(socket);

  const renewed = await domain.issue('router', ['router.test', 'tunnel.test']);
  const waits: (() => void)[] = [];
  let now = Date.now() - 86_400_000;
  const stop = new AbortController();
  const following = followCertificate({
    ...{ path, log: silentLogger, signal: stop.signal },
    file: { ...identity, domainAuthorityPem: options.domainAuthorityPem },
    clock: { now: () => now, sleep: () => new Promise<void>((resolve) => waits.push(resolve)) },
    renew: (file) => router.renewCertificate(file),
  });
  const look = async () => {
    await until('it waits for its next look', 30_000, async () => waits.length > 0);
    waits.shift()?.();
    await until('it has looked', 30_000, async () => waits.length > 0);
  };
  await writeFile(path, 'half a file');
  await look();
  // The key of another certificate.
  const wrong = { ...renewed, privateKeyPem: identity.privateKeyPem, domainAuthorityPem: options.domainAuthorityPem };
  await writeFile(path, JSON.stringify(wrong));
  await look();
  assert.equal(await shownAt(stage.publicPort), identity.serial);
  assert.equal(await shownAt(stage.srpPort), identity.serial);
  await writeFile(path, JSON.stringify({ ...renewed, domainAuthorityPem: options.domainAuthorityPem }));
  await look();
  assert.equal(await shownAt(stage.publicPort), identity.serial, 'one that has not begun');
  now = Date.now();
  await look();
  assert.equal(await shownAt(stage.publicPort), renewed.serial);
  assert.equal(await shownAt(stage.srpPort), renewed.serial);
  assert.equal((await request()).status, 200);
  assert.equal(Object.values(agent.freeSockets).flat()[0], socket, 'over the connection that stood');
  assert.equal(link.up, true);
  await nextUp(await stage.dial('S00000002'));
  assert.equal(answered.length, 2);
  stop.abort();
  for (const wake of waits) wake();
  await following;
});
