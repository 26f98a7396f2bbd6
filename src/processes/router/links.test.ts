import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import type { SrpLink } from '../../link/dialler.ts';
import { issueTestCredential } from '../../link/link-fixture.ts';
import type { Refused } from '../../link/messages.ts';
import { inTime } from '../../testing/condition.ts';
import { createStage, nextUp, type Stage, testComponent } from './router-fixture.ts';

// A dialler that tries again at once, so that no test waits.
const eager = { initialDelayMs: 1, maxDelayMs: 2, refusedDelayMs: 1, maxConnectsPerMinute: 1000 };

async function nextRefusal(link: SrpLink): Promise<Refused> {
  const [refused] = await inTime('the link is refused', 60_000, once(link.events, 'refused'));
  return refused as Refused;
}

describe('SRP links at the router', () => {
  let stage: Stage;
  before(async () => {
    stage = await createStage({
      liveness: { intervalMs: 20, stalledAfterMs: 300, deadAfterMs: 300 },
      rivalTimeoutMs: 200,
    });
  });
  after(() => stage.close());

  test('a link of the same host and boot supersedes the first', async () => {
    const first = await stage.dial('S00000010');
    await nextUp(first);
    const refusal = nextRefusal(first);
    const second = await stage.dial('S00000010');
    await nextUp(second);
    assert.equal((await refusal).code, 'ERR_SRP_SUPERSEDED');
    assert.equal(stage.router.links.get('S00000010')?.reconnects, 1);
    await Promise.all([first.close(100), second.close(100)]);
  });

  test('a half-open link is closed, and one of another host takes its place', async () => {
    const credential = await issueTestCredential(stage.domain, 'S00000011', stage.srpPort);
    const { createLinkEndpoint } = await import('../../link/link-endpoint.ts');
    const nothing = () => undefined;
    let accepted: () => void = nothing;
    const up = new Promise<void>((resolve) => {
      accepted = resolve;
    });
    const hello = { ...testComponent('a', 'host-a'), identifier: 'S00000011', kind: 'server' as const };
    const endpoint = createLinkEndpoint(
      () => hello,
      {},
      { accepted, refused: nothing, draining: nothing, failed: nothing },
    );
    const socket: TLSSocket = connect({
      port: stage.srpPort,
      host: '127.0.0.1',
      servername: 'router.test',
      ca: credential.domainAuthorityPem,
      cert: credential.certificatePem,
      key: credential.privateKeyPem,
      ALPNProtocols: ['bramble-link'],
    });
    await once(socket, 'secureConnect');
    endpoint.once('session', (session) => session.on('error', nothing));
    endpoint.emit('connection', socket);
    await up;
    const half = stage.router.links.get('S00000011');
    assert.ok(half);
    const closed = new Promise<void>((resolve) => half.session.once('close', resolve));
    // From here on the peer reads nothing, and its kernel still acknowledges: what a hung process looks like.
    (socket as unknown as { _handle: { readStop(): void } })._handle.readStop();
    const second = await stage.dial('S00000011', { component: testComponent('b', 'host-b', 'boot-b'), limits: eager });
    await nextUp(second);
    await closed;
    assert.equal(stage.router.links.get('S00000011')?.hello.host, 'host-b');
    socket.destroy();
    await second.close(100);
  });

  test('another live host is refused, after five times suspended also when the first is gone, until cleared', async () => {
    const first = await stage.dial('S00000012');
    await nextUp(first);
    const rival = await stage.dial('S00000012', { component: testComponent('r', 'host-r', 'boot-r'), limits: eager });
    const codes: string[] = [];
    rival.events.on('refused', ({ code }) => codes.push(code));
    await new Promise<void>((resolve) => {
      rival.events.on('refused', () => codes.length === 6 && resolve());
    });
    assert.deepEqual(codes.slice(0, 6), [...Array(5).fill('ERR_SRP_IN_USE'), 'ERR_SRP_SUSPENDED']);
    assert.ok(first.up, 'the live link stays');
    await first.close(100);
    assert.equal((await nextRefusal(rival)).code, 'ERR_SRP_SUSPENDED');
    const other = await stage.dial('S00000013');
    await nextUp(other);
    stage.push({ number: 5, revoked: [], cleared: [{ identifier: 'S00000012', at: new Date().toISOString() }] });
    await nextUp(rival);
    await Promise.all([rival.close(100), other.close(100)]);
  });

  test('no common link version and a foreign identifier are refused', async () => {
    const future = await stage.dial('S00000014', {
      component: { ...testComponent('f'), linkVersions: [2, 3] },
      limits: { maxConnectsPerMinute: 1 },
    });
    assert.equal((await nextRefusal(future)).code, 'ERR_LINK_VERSION');
    await future.close(100);
  });

  test('a certificate of the device authority does not link', async () => {
    const stranger = await issueTestCredential(stage.devices, 'S00000015', stage.srpPort);
    const link = await stage.dial('S00000015', {
      credential: () => ({ ...stranger, domainAuthorityPem: stage.domain.certificatePem }),
    });
    const ended = new Promise((resolve) => stage.router.srpServer.once('tlsClientError', resolve));
    await ended;
    assert.equal(link.up, false);
    await link.close(100);
  });

  test('a revocation closes the link, and is in force again after a restart, from disk', async () => {
    const credential = await issueTestCredential(stage.domain, 'S00000016', stage.srpPort);
    const options = { credential: () => ({ ...credential }), limits: { refusedDelayMs: 600_000 } };
    const link = await stage.dial('S00000016', options);
    await nextUp(link);
    const refusal = nextRefusal(link);
    const down = once(link.events, 'down');
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
    stage.push({
      number: 6,
      revoked: [{ serial: credential.serial, identifier: 'S00000016', expiresAt }],
      cleared: [],
    });
    assert.equal((await refusal).code, 'ERR_SRP_REVOKED');
    await down;
    assert.equal(stage.router.links.get('S00000016'), undefined);
    await link.close(100);

    stage.list = null;
    await stage.restart();
    const again = await stage.dial('S00000016', options);
    const admitted = nextUp(again).then(() => ({ code: 'it was admitted' }));
    assert.equal((await Promise.race([nextRefusal(again), admitted])).code, 'ERR_SRP_REVOKED');
    await again.close(100);
  });

  test('an older list, and one that the domain did not sign, change nothing', async () => {
    const { signEnvelope } = await import('../../link/signed-envelope.ts');
    const credential = await issueTestCredential(stage.domain, 'S00000017', stage.srpPort);
    const revoked = [{ serial: credential.serial, identifier: 'S00000017', expiresAt: new Date().toISOString() }];
    const lists = [
      signEnvelope({ number: 1, revoked, cleared: [] }, stage.domain.key),
      signEnvelope({ number: 99, revoked, cleared: [] }, stage.devices.key),
    ];
    let pushed: () => void = () => undefined;
    const opened = new Promise<void>((resolve) => {
      pushed = resolve;
    });
    const registrations: string[] = [];
    let registered: () => void = () => undefined;
    const told = new Promise<void>((resolve) => {
      registered = resolve;
    });
    const link = await stage.dial('S00000017', {
      credential: () => credential,
      handlers: {
        control: (push) => {
          for (const list of lists) push(list);
          pushed();
        },
        router: async ({ loopbackUrl, links }, routerKey) => {
          registrations.push(loopbackUrl, routerKey, ...links.map(({ identifier }) => identifier));
          registered();
        },
      },
    });
    await nextUp(link);
    await opened;
    // The lists were written before the router's registration is answered on the same connection.
    stage.router.register('http://127.0.0.1:1');
    await told;
    assert.ok(link.up);
    const { publicKey } = new X509Certificate(stage.identity.certificatePem);
    const key = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' }));
    assert.deepEqual(registrations, ['http://127.0.0.1:1', key.digest('hex'), 'S00000017']);
    await link.close(100);
  });
});

test('a link that is closed does not wait for the stream on which lists are pushed', async (t) => {
  // Nothing else closes it.
  const liveness = { intervalMs: 3_600_000, stalledAfterMs: 3_600_000, deadAfterMs: 3_600_000 };
  const stage = await createStage({ liveness });
  t.after(() => stage.close());
  const opened = Promise.withResolvers<void>();
  const link = await stage.dial('S00000018', { liveness, handlers: { control: () => opened.resolve() } });
  await inTime('lists can be pushed', 60_000, opened.promise);
  await inTime('the link is closed', 60_000, link.close(3_600_000));
});
