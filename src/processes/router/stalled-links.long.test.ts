import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { issueTestCredential } from '../../link/link-fixture.ts';
import type { Refused } from '../../link/messages.ts';
import { until } from '../../testing/condition.ts';
import { exitWithin } from '../../testing/process.ts';
import type { RouterOptions } from './router.ts';
import { ask, createStage, newToken, nextUp, type Stage, testComponent } from './router-fixture.ts';

const limited = { timeout: 120_000 };
const endless = 3_600_000;

async function stageFor(t: TestContext, overrides: Partial<RouterOptions>): Promise<Stage> {
  const stage = await createStage(overrides);
  t.after(() => stage.close());
  return stage;
}

/** An instance as a process of its own, whose event loop can be held. */
async function busyInstance(t: TestContext, stage: Stage, identifier: string): Promise<ChildProcess> {
  const credential = await issueTestCredential(stage.domain, identifier, stage.srpPort);
  const [router] = credential.routers;
  const given = JSON.stringify({ credential, router, component: testComponent(identifier) });
  const child = fork(fileURLToPath(new URL('busy-dialler-fixture.ts', import.meta.url)), [given], {
    stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
  });
  t.after(async () => {
    child.kill('SIGKILL');
    await exitWithin(child, 60_000, 'the busy instance');
  });
  await until('the router has the link', 60_000, () => stage.router.links.get(identifier) !== undefined);
  return child;
}

/** A TLS connection with the identifier's credential that says nothing more. */
async function silent(t: TestContext, stage: Stage, identifier: string): Promise<TLSSocket> {
  const credential = await issueTestCredential(stage.domain, identifier, stage.srpPort);
  const socket = connectTls({
    port: stage.srpPort,
    host: '127.0.0.1',
    servername: 'router.test',
    ca: credential.domainAuthorityPem,
    cert: credential.certificatePem,
    key: credential.privateKeyPem,
    ALPNProtocols: ['bramble-link'],
  });
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  // What comes is dropped, so that the end is noticed.
  return socket.resume();
}

test(
  'an instance whose event loop is held keeps its link: 503 meanwhile, what is under way goes on',
  limited,
  async (t) => {
    const stage = await stageFor(t, { liveness: { intervalMs: 20, stalledAfterMs: 200, deadAfterMs: endless } });
    const child = await busyInstance(t, stage, 'S00000031');
    const token = newToken();
    stage.routes.set(token, { identifier: 'S00000031', connectionServices: [] });
    // Another instance knows whose the token is, as ever.
    await nextUp(await stage.dial('S00000032'));
    const link = stage.router.links.get('S00000031');
    const held = ask(stage, `/mdm/${token}/connect`, { body: 'hold' });
    await until('the link is stalled', 60_000, () => link?.stalled === true);
    const meanwhile = await ask(stage, `/mdm/${token}/connect`, { body: 'x' });
    assert.deepEqual([meanwhile.status, meanwhile.code], [503, 'ERR_LINK_STALLED']);
    assert.equal(stage.router.links.refusedStalled, 1);
    child.stdin?.write('.');
    assert.deepEqual([(await held).status, (await held).body], [200, 'served']);
    await until('the link is at work again', 60_000, () => link?.stalled === false);
    assert.equal((await ask(stage, `/mdm/${token}/connect`, { body: 'x' })).status, 200);
    assert.equal(stage.router.links.get('S00000031'), link, 'it is the same link');
  },
);

test('a link that stays stalled is dropped, and one whose process died is gone at once', limited, async (t) => {
  const hung = await stageFor(t, { liveness: { intervalMs: 20, stalledAfterMs: 100, deadAfterMs: 300 } });
  await busyInstance(t, hung, 'S00000033');
  const token = newToken();
  hung.routes.set(token, { identifier: 'S00000033', connectionServices: [] });
  await nextUp(await hung.dial('S00000034'));
  const held = ask(hung, `/mdm/${token}/connect`, { body: 'hold' });
  await until('the stalled link is gone', 60_000, () => hung.router.links.standing('S00000033') === undefined);
  assert.deepEqual([(await held).status, (await held).code], [503, 'ERR_ANSWER_LOST']);

  const dead = await stageFor(t, { liveness: { intervalMs: endless, stalledAfterMs: endless, deadAfterMs: endless } });
  const child = await busyInstance(t, dead, 'S00000035');
  child.kill('SIGKILL');
  await until('the dead link is gone', 60_000, () => dead.router.links.standing('S00000035') === undefined);
});

test(
  'a router that reads nothing stalls the dialler, which goes on with the same link afterwards',
  limited,
  async (t) => {
    const stage = await stageFor(t, {});
    const sockets: TLSSocket[] = [];
    stage.router.srpServer.on('secureConnection', (socket: TLSSocket) => sockets.push(socket));
    const link = await stage.dial('S00000036', {
      liveness: { intervalMs: 20, stalledAfterMs: 100, deadAfterMs: endless },
    });
    await nextUp(link);
    const handle = (sockets[0] as unknown as { _handle: { readStop(): void; readStart(): void } })._handle;
    const stalled = once(link.events, 'stalled');
    handle.readStop();
    await stalled;
    assert.deepEqual([link.up, link.stalled], [true, true]);
    const recovered = once(link.events, 'recovered');
    handle.readStart();
    await recovered;
    assert.deepEqual([link.up, link.stalled, link.reconnects], [true, false, 0]);
  },
);

test('ten silent connections with the credential do not keep its holder out', limited, async (t) => {
  // They are never given up here: the holder is admitted beside them, not after them.
  const stage = await stageFor(t, { helloTimeoutMs: endless });
  await Promise.all(Array.from({ length: 10 }, () => silent(t, stage, 'S00000041')));
  await until('ten have proved themselves', 60_000, () => stage.router.newcomers.proven === 10);
  await nextUp(await stage.dial('S00000041'));
});

test(
  'more silent connections than there is room for are cut, the oldest first, and the holder gets in',
  limited,
  async (t) => {
    const stage = await stageFor(t, {
      helloTimeoutMs: endless,
      newcomers: { maxPerIdentifier: 3, maxUnproven: 4 },
    });
    const oldest = await silent(t, stage, 'S00000042');
    const cut = once(oldest, 'close');
    for (let count = 0; count < 4; count += 1) await silent(t, stage, 'S00000042');
    await cut;
    const strangers: Socket[] = [];
    for (let count = 0; count < 8; count += 1) {
      const socket = connectTcp(stage.srpPort, '127.0.0.1');
      socket.on('error', () => undefined);
      t.after(() => socket.destroy());
      strangers.push(socket);
    }
    await until('four strangers are out', 60_000, () => strangers.filter(({ destroyed }) => destroyed).length === 4);
    await nextUp(await stage.dial('S00000042'));
    assert.ok(stage.router.newcomers.proven <= 3 && stage.router.newcomers.unproven <= 4);
  },
);

test('a connection that never finishes TLS is closed', limited, async (t) => {
  const stage = await stageFor(t, { handshakeTimeoutMs: 100 });
  const socket = connectTcp(stage.srpPort, '127.0.0.1');
  socket.on('error', () => undefined).resume();
  t.after(() => socket.destroy());
  await once(socket, 'close');
  await until('no stranger is left', 60_000, () => stage.router.newcomers.unproven === 0);
});

test(
  'silent rivals of a live link suspend the identifier for everybody but its holder, over a restart too',
  limited,
  async (t) => {
    const stage = await stageFor(t, { helloTimeoutMs: 3_000 });
    const holder = await stage.dial('S00000043');
    await nextUp(holder);
    await Promise.all(Array.from({ length: 5 }, async () => once(await silent(t, stage, 'S00000043'), 'close')));
    const refusalOfOther = async () => {
      const other = await stage.dial('S00000043', { component: testComponent('other', 'host-b', 'boot-b') });
      const [refused] = (await once(other.events, 'refused')) as [Refused];
      await other.close(100);
      return refused.code;
    };
    assert.equal(await refusalOfOther(), 'ERR_SRP_SUSPENDED');
    assert.ok(holder.up, 'the live holder keeps its link');
    await holder.close(100);
    assert.equal(await refusalOfOther(), 'ERR_SRP_SUSPENDED');
    await stage.restart();
    assert.equal(await refusalOfOther(), 'ERR_SRP_SUSPENDED');
    await nextUp(await stage.dial('S00000043'));
  },
);

test(
  'silent connections of a holder that is not linked count for nothing: it cannot suspend itself',
  limited,
  async (t) => {
    const stage = await stageFor(t, { helloTimeoutMs: 3_000 });
    await Promise.all(Array.from({ length: 6 }, async () => once(await silent(t, stage, 'S00000044'), 'close')));
    await nextUp(await stage.dial('S00000044'));
  },
);
