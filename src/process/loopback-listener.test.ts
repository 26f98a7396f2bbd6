import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../testing/condition.ts';
import { type LoopbackListener, listenOnLoopback } from './loopback-listener.ts';

const nothing = () => undefined;

async function listen(
  says: string,
  port: number,
  events: string[] = [],
  patienceMs = 60_000,
): Promise<LoopbackListener> {
  return await listenOnLoopback({
    ...{ port, patienceMs, handler: (_, response) => void response.end(says) },
    onBusy: () => events.push('busy'),
    onFailed: () => events.push('failed'),
  });
}
const ask = async (url: string) =>
  await fetch(url, { signal: AbortSignal.timeout(10_000) }).then((answer) => answer.text());

test('a port that the process before still holds is listened on once it is free, and another one until then', async (t) => {
  const events: string[] = [];
  const before = await listen('before', 0);
  const port = Number(new URL(before.url).port);
  const after = await listen('after', port, events);
  t.after(() => after.close());
  assert.notEqual(after.url, before.url);
  assert.deepEqual([await ask(after.url), await ask(before.url), events], ['after', 'before', ['busy']]);
  await before.close();
  await until('it listens there', 30_000, async () => (await ask(before.url).catch(nothing)) === 'after');
  assert.equal(await ask(after.url), 'after');
});

test('a port that never becomes free fails in the end, and a close before that waits for nothing', async (t) => {
  const holder = await listen('holder', 0);
  t.after(() => holder.close());
  const port = Number(new URL(holder.url).port);
  const events: string[] = [];
  const failing = await listen('late', port, events, 0);
  await until('it says so', 30_000, async () => events.includes('failed'));
  await failing.close();
  const closed = await listen('closed', port, events);
  await closed.close();
  await assert.rejects(ask(closed.url));
});
