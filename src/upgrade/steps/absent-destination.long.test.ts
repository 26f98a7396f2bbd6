/**
 * A new instance is lost in the middle of a wave that takes accounts there: nobody else is moved until it is back, and what is waited for
 * has a name. One that takes nobody any more is not waited for.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { listWaves } from '../state/wave-store.ts';
import { countAt, endUnasked, scene, until } from './scene-fixture.ts';

test('a wave waits for a destination that is not at work, by its name and host', { timeout: 120_000 }, async () => {
  const it = await scene({ canaries: ['east-0', 'east-1', 'west-0', 'west-1'], waveDeadlineSeconds: 3600 });
  const context = it.context('one');
  await until(it, context, ['moving']);
  for (let round = 0; round < 50 && (await countAt(it.db, '%-1-1')) === 0; round++) {
    await stepOnce(context);
    await it.world({ maxMoves: 1 });
  }
  const moved = await countAt(it.db, '%-1-1');
  assert.ok(moved > 0 && moved < 4);
  await it.db`update component set lease_until = now() - interval '1 second' where name = 'west-1-1'`;
  await it.db`update upgrade_wave set started_at = started_at - interval '10 hours' where state = 'running'`;
  for (let round = 0; round < 5; round++) {
    await it.world();
    await stepOnce(context);
  }
  assert.equal(await countAt(it.db, '%-1-1'), moved);
  const { state, progress } = await it.upgrade();
  assert.equal(state, 'moving', 'its deadline does not pause it: it would have to be resumed by hand');
  assert.equal(progress.waitingFor, 'west-1-1 on here to be at work; wave 1 (canary) goes on then');
  await it.db`update component set lease_until = now() + interval '1 hour' where name = 'west-1-1'`;
  await until(it, context, ['soaking']);
});

test('a wave does not wait for an instance that already has its accounts', { timeout: 120_000 }, async () => {
  const it = await scene({ canaries: ['west-0', 'west-1', 'west-2'] });
  const context = it.context('one');
  const states = async () => (await listWaves(it.db, (await it.upgrade()).id)).map(({ state }) => state);
  for (let round = 0; round < 100 && (await states())[1] !== 'running'; round++) {
    await stepOnce(context);
    await it.world({ maxMoves: (await countAt(it.db, 'west-1-1')) < 3 ? 100 : 0 });
  }
  assert.equal(await countAt(it.db, 'east-1-1'), 0);
  await it.db`update component set lease_until = now() - interval '1 second' where name = 'west-1-1'`;
  for (let round = 0; round < 20 && (await countAt(it.db, 'east-1-1')) === 0; round++) {
    await stepOnce(context);
    assert.doesNotMatch((await it.upgrade()).progress.waitingFor ?? '', /at work/);
    await it.world();
  }
  assert.ok((await countAt(it.db, 'east-1-1')) > 0, (await it.upgrade()).progress.waitingFor ?? '');
});

test('a wave is not judged, and its patience does not run, while an instance that took its accounts is away', {
  timeout: 120_000,
}, async () => {
  const it = await scene({ canaries: ['west-0'], soakSeconds: 600, gate: { patienceSeconds: 600 } });
  const context = it.context('one');
  const wave = async () => (await listWaves(it.db, (await it.upgrade()).id))[0];
  for (let round = 0; round < 100 && (await wave())?.state !== 'soaking'; round++) {
    await stepOnce(context);
    await it.world({ silent: true });
  }
  await it.db`update component set lease_until = now() - interval '1 second' where name = 'west-1-1'`;
  await it.db`update upgrade_wave set soaking_at = soaking_at - interval '1 hour' where state = 'soaking'`;
  await stepOnce(context);
  const waiting = await it.upgrade();
  assert.equal(waiting.progress.waitingFor, 'west-1-1 on here to be at work; wave 1 (canary) goes on then');
  await it.db`update component set lease_until = now() + interval '1 hour' where name = 'west-1-1'`;
  await stepOnce(context);
  const { state, progress } = await it.upgrade();
  assert.deepEqual([state, progress.waitingFor], ['moving', 'wave 1 is being observed for 600 s'], 'anew');
  await it.db`update upgrade set progress = progress || '{"absentUntil": "2026-01-01T00:00:00Z"}'`;
  await stepOnce(context);
  assert.equal((await it.upgrade()).state, 'paused', 'nobody came for so long');
});

test('time without a coordinator is no time in which anybody looked', { timeout: 120_000 }, async () => {
  const it = await scene({ canaries: ['west-0'], waveDeadlineSeconds: 600 });
  const context = it.context('one');
  for (let round = 0; round < 50 && (await countAt(it.db, '%-1-1')) === 0; round++) {
    await stepOnce(context);
    await it.world({ maxMoves: 0 });
    if ((await it.upgrade()).state === 'moving') break;
  }
  await stepOnce(context);
  await it.db`update upgrade_wave set started_at = now() - interval '10 hours' where state = 'running'`;
  await it.db`update upgrade set lease_until = now() - interval '10 hours'`;
  await stepOnce(it.context('two'));
  assert.equal((await it.upgrade()).state, 'moving');
});

test('what devices were told while a host was away with its instances fails no gate', {
  timeout: 120_000,
}, async () => {
  const gate = { leastRequests: 1_000_000, patienceSeconds: 3600 };
  const it = await scene({ canaries: ['east-0', 'west-0'], soakSeconds: 1, gate });
  const context = it.context('one');
  const wave = async () => (await listWaves(it.db, (await it.upgrade()).id))[0];
  for (let round = 0; round < 100 && (await wave())?.state !== 'soaking'; round++) {
    await stepOnce(context);
    await it.world();
  }
  const lost = async (is: boolean) => {
    await it.db`
      update component set lease_until = clock_timestamp() + case when ${is} then -interval '1 second' else interval '1 hour' end
       where name like '%-1-1'`;
    await it.db`
      update supervisor set seen_at = clock_timestamp() - case when ${is} then interval '1 minute' else interval '0' end`;
  };
  await lost(true);
  await stepOnce(context);
  const { waitingFor } = (await it.upgrade()).progress;
  assert.equal(waitingFor, 'east-1-1 on here, west-1-1 on here to be at work; wave 1 (canary) goes on then');
  await it.db`
    update request_outcome o set failed = requests, latency = '{}' from instance i
     where i.id = o.instance_id and i.name like '%-1-1'`;
  for (const name of ['east-1-1', 'west-1-1']) await endUnasked(it.db, name, 1);
  await lost(false);
  await stepOnce(context);
  assert.deepEqual([(await it.upgrade()).state, (await wave())?.state], ['moving', 'soaking']);
  await it.db`update upgrade set progress = progress - 'absences'`;
  await stepOnce(context);
  assert.match(
    (await it.upgrade()).pauseReason ?? '',
    /exited unexpectedly or lost their lease 2 times .* requests? failed/,
  );
});
