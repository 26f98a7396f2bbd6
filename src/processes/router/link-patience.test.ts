import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { LinkPatience } from './link-patience.ts';
import { LinkRegistry, type RouterLink } from './link-registry.ts';
import { ask, createStage, newToken, nextUp, type Stage } from './router-fixture.ts';

const patienceMs = 10_000;

/** A registry whose time stands, and goes on by hand. */
function quietRegistry(maxWaiting?: number) {
  const clock = { ms: 0 };
  const now = () => clock.ms;
  const links = new LinkRegistry(now);
  const patience = new LinkPatience({ links, now, patienceMs, ...(maxWaiting !== undefined && { maxWaiting }) });
  return { clock, links, patience };
}

const link = { identifier: 'S00000001', kind: 'server', linkVersion: 1, stalled: false } as RouterLink;

test('who was linked a moment ago is expected, and nobody else', async () => {
  const { clock, links, patience } = quietRegistry();
  links.expect(['S00000001', 'C00000001']);
  const hope = patience.begin(60_000);
  assert.equal(await hope(['S00000002']), false, 'it was never linked');
  assert.equal(await hope([]), false, 'the device has no connection service');
  const waiting = [hope(['S00000001']), hope(['S00000002', 'C00000001']), hope(null)];
  links.add(link);
  assert.deepEqual(await Promise.all(waiting), [true, true, true]);
  links.remove(link);
  clock.ms = patienceMs;
  for (const who of [['S00000001'], ['C00000001'], null]) assert.equal(await patience.begin(60_000)(who), false);
});

test('a stalled link is expected for a moment too', async () => {
  const { clock, links, patience } = quietRegistry();
  const stalling = { ...link };
  links.add(stalling);
  links.stall(stalling);
  const waiting = patience.begin(60_000)(['S00000001']);
  links.recover(stalling);
  assert.ok(await waiting);
  links.stall(stalling);
  clock.ms = patienceMs;
  assert.equal(await patience.begin(60_000)(['S00000001']), false);
});

test('a request waits no longer than it may take, and not once the router drains', async () => {
  const { clock, links, patience } = quietRegistry();
  links.expect(['S00000001']);
  const hope = patience.begin(1000);
  const waiting = hope(['S00000001']);
  links.add(link);
  assert.ok(await waiting);
  clock.ms = 1000;
  assert.equal(await hope(['S00000001']), false);
  patience.end();
  assert.equal(await patience.begin(60_000)(['S00000001']), false);
});

test('few wait at once', async () => {
  const { links, patience } = quietRegistry(2);
  links.expect(['S00000001']);
  const hope = () => patience.begin(60_000)(['S00000001']);
  const waiting = [hope(), hope()];
  assert.equal(await hope(), false);
  links.add(link);
  assert.deepEqual(await Promise.all(waiting), [true, true]);
});

describe('a device’s request', { timeout: 60_000 }, () => {
  let stage: Stage;
  const token = newToken();
  const dial = async () => {
    const dialled = await stage.dial('S00000001', {
      handlers: { request: (_request, response) => void response.writeHead(200).end() },
    });
    await nextUp(dialled);
    return dialled;
  };
  const connect = async () => (await ask(stage, `/mdm/${token}/connect`)).status;

  before(async () => {
    stage = await createStage({ linkPatienceMs: 60_000 });
    stage.routes.set(token, { identifier: 'S00000001', connectionServices: [] });
  });
  after(async () => await stage.close());

  test('waits for the next link of its instance, also where the router does not know yet whose it is', async () => {
    const first = await dial();
    assert.equal(await connect(), 200);
    await first.close(100);
    const known = connect();
    const unknown = ask(stage, `/mdm/${newToken()}/connect`);
    await dial();
    assert.equal(await known, 200);
    assert.equal((await unknown).code, 'ERR_UNKNOWN_DEVICE');
  });

  test('waits for who was linked before the router was replaced', async () => {
    await stage.restart();
    const waiting = connect();
    await dial();
    assert.equal(await waiting, 200);
  });
});
