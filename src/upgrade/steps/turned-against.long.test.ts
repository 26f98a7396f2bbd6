/**
 * What is asked of an upgrade, and what is taken from it, at its turning points: two operators at once, a pause while the fence
 * closes, an archive, an instance or a host that is gone while it is reversed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { advisoryLock, lockClass } from '../../database/advisory-locks.ts';
import { openDatabase } from '../../database/connection.ts';
import { createMoveBatch } from '../../moves/batch-store.ts';
import { stepOnce } from '../../processes/coordinator/coordinator.ts';
import { until as untilSo } from '../../testing/condition.ts';
import {
  finalizeByOperator,
  pauseByOperator,
  resumeByOperator,
  reverseByOperator,
} from '../operations/operator-actions.ts';
import { listUpgradeEvents } from '../state/upgrade-store.ts';
import { listHeldMoves } from '../waves/held-moves.ts';
import { insertTestProcess } from './domain-fixture.ts';
import { countAt, operator, type Scene, scene, until } from './scene-fixture.ts';

const limited = { timeout: 120_000 };
const refused = { code: 'ERR_UPGRADE_STATE' };

async function soaking(options: object = {}): Promise<Scene> {
  const it = await scene(options);
  await until(it, it.context('one'), ['soaking']);
  return it;
}

const ask = {
  finalize: (it: Scene, by = 'ada') => it.db.begin((tx) => finalizeByOperator(tx, { by })),
  reverse: (it: Scene, by = 'ada') => it.db.begin((tx) => reverseByOperator(tx, { by })),
  pause: (it: Scene) => it.db.begin((tx) => pauseByOperator(tx, operator)),
  resume: (it: Scene) => it.db.begin((tx) => resumeByOperator(tx, operator)),
};

async function rounds(it: Scene, count: number, name = 'one'): Promise<void> {
  for (let round = 0; round < count; round++) {
    await stepOnce(it.context(name));
    await it.world();
  }
}

const atHome = ['east', 'west'].flatMap((name) => [0, 1, 2].map((number) => `${name}-${number} at ${name}`));

/** Reversed, with each account where it was. */
async function endsAtHome(it: Scene, context = it.context('one')): Promise<void> {
  await until(it, context, ['reversed']);
  const rows = await it.db<{ text: string }[]>`
    select a.name || ' at ' || i.name as text from account a join instance i on i.id = a.instance_id order by a.name`;
  assert.deepEqual(
    rows.map(({ text }) => text),
    atHome,
  );
}

test('finalized twice at once from two terminals, one orders it, and the other is told by whom', limited, async () => {
  const it = await soaking();
  const asked = await Promise.allSettled([ask.finalize(it, 'ada'), ask.finalize(it, 'bea')]);
  const [done, late] = [
    asked.filter(({ status }) => status === 'fulfilled'),
    asked.filter((each) => each.status === 'rejected'),
  ];
  assert.deepEqual([done.length, late.length], [1, 1]);
  const { finalizedBy } = (await it.upgrade()).progress;
  assert.match(String(late[0]?.reason), new RegExp(`is being finalized already, as ${finalizedBy} ordered`));
  const events = await listUpgradeEvents(it.db, (await it.upgrade()).id);
  assert.equal(events.filter(({ message }) => /^finalizing started/.test(message)).length, 1);
  await until(it, it.context('one'), ['done']);
});

test('finalized and reversed at once, one of both happens, and leads to its end', limited, async () => {
  const it = await soaking();
  const asked = await Promise.allSettled([ask.finalize(it), ask.reverse(it)]);
  assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 1);
  const { state } = await it.upgrade();
  await until(it, it.context('one'), [state === 'finalizing' ? 'done' : 'reversed']);
});

test(
  'what is being reversed is neither cancelled nor reversed once more, and what is being finalized never',
  limited,
  async () => {
    const it = await soaking();
    await ask.reverse(it);
    await assert.rejects(ask.reverse(it), { ...refused, message: /is being reversed already/ });
    await assert.rejects(ask.finalize(it), refused);
    await ask.pause(it);
    await assert.rejects(ask.reverse(it), { ...refused, message: /already; it is paused: `bramble upgrade resume`/ });
    await ask.resume(it);
    await until(it, it.context('one'), ['reversed']);
    const other = await soaking();
    await ask.finalize(other);
    await assert.rejects(ask.reverse(other), refused);
    await ask.pause(other);
    await assert.rejects(ask.reverse(other), refused);
    await assert.rejects(ask.finalize(other), {
      ...refused,
      message: /finalized already, as ada ordered; it is paused/,
    });
    await ask.resume(other);
    await until(other, other.context('one'), ['done']);
  },
);

/** A session in an administration's transaction, which keeps the fence from closing until it is let go. */
async function blockFence({ url }: Scene): Promise<() => Promise<void>> {
  const db = openDatabase(url, { applicationName: 'bramble/administration/admin@here#1', max: 1 });
  const [holding, let_] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const held = db.begin(async (tx) => {
    await tx`select pg_advisory_xact_lock_shared(${lockClass}, ${advisoryLock.administration})`;
    holding.resolve();
    await let_.promise;
  });
  await Promise.race([holding.promise, held]);
  return async () => {
    let_.resolve();
    await held;
    await db.end({ timeout: 5 });
  };
}

const fenceOpen = { fenceGraceMs: 60_000 };

/** Steps until the next one is the fence, and begins it while somebody is in the way. */
async function beginFence(it: Scene, isNext: () => Promise<boolean>) {
  for (let round = 0; round < 200 && !(await isNext()); round++) await rounds(it, 1);
  const letGo = await blockFence(it);
  const fencing = stepOnce(it.context('one'));
  await untilSo('the fence waits', 20_000, async () => {
    const waiting = await it.db`
      select 1 from pg_locks where locktype = 'advisory' and classid = ${lockClass} and objid = ${advisoryLock.administration} and not granted
         and database = (select oid from pg_database where datname = current_database())`;
    return waiting.length > 0;
  });
  return async () => {
    await letGo();
    await fencing;
  };
}

test(
  'cancelled while the fence is closing, nothing is handed over, and the old administration is wanted again',
  limited,
  async () => {
    const it = await scene(fenceOpen);
    const close = await beginFence(it, async () => (await it.upgrade()).progress.step.at === 'administrations-stopped');
    await assert.rejects(ask.pause(it), refused);
    await ask.reverse(it);
    await close();
    assert.equal((await it.upgrade()).state, 'cancelled');
    const [row] = await it.db`
    select release, (select state from desired_process where name = 'admin') as wanted from domain`;
    assert.deepEqual({ ...row }, { release: '1.0.0', wanted: 'running' });
  },
);

test(
  'paused while the fence closes on the new administration, it does not, until another coordinator goes on',
  limited,
  async () => {
    const it = await soaking(fenceOpen);
    await ask.reverse(it);
    const close = await beginFence(
      it,
      async () => (await it.upgrade()).progress.step.at === 'new-administrations-stopped',
    );
    await ask.pause(it);
    await close();
    await it.db`update upgrade set lease_until = clock_timestamp() - interval '1 second'`;
    await rounds(it, 3, 'another');
    const [domain] = await it.db`select release from domain`;
    assert.deepEqual([(await it.upgrade()).state, domain?.['release']], ['paused', '1.1.0']);
    await ask.resume(it);
    await endsAtHome(it, it.context('another'));
  },
);

test(
  'reversed with the old release gone from the host, it pauses before it takes anything, and goes on once it is installed',
  limited,
  async () => {
    const it = await soaking();
    let isInstalled = false;
    const distributed = new Set<string>();
    const effects = {
      ...it.context('one').effects,
      lacking: async () => (isInstalled ? [] : ['here']),
      distribute: async (release: string) => void distributed.add(release),
    };
    const context = it.context('one', { effects });
    const before = await it.db`select name, release, state from desired_process order by name`;
    await ask.reverse(it);
    const { pauseReason } = await until(it, context, ['paused']);
    assert.match(
      pauseReason ?? '',
      /^release 1\.0\.0 is not installed on here any more.*`bramble release install <archive>`/,
    );
    assert.deepEqual(await it.db`select name, release, state from desired_process order by name`, before);
    isInstalled = true;
    await ask.resume(it);
    await endsAtHome(it, context);
    assert.deepEqual([...distributed], ['1.0.0'], 'for hosts that joined meanwhile');
  },
);

/** Its process is gone, and nothing is there that could start it. */
const lose = async ({ db }: Scene, ...names: string[]) =>
  await db`update component set lease_until = now() - interval '1 minute', stopped_at = null where name = any(${names})`;

test(
  'reversed with an old instance gone, its accounts stay where they are served, the others go home, and it is named',
  limited,
  async () => {
    const it = await soaking();
    await lose(it, 'west', 'west-mds');
    await ask.reverse(it);
    await rounds(it, 30);
    assert.deepEqual(
      [await countAt(it.db, 'east'), await countAt(it.db, 'west'), await countAt(it.db, 'west-1-1')],
      [3, 0, 3],
    );
    assert.match(
      (await it.upgrade()).progress.waitingFor ?? '',
      /^3 accounts moving back; 3 of them once west on here is at work.*`bramble move start --from west-1-1 --to </,
    );
    await it.db`update component set lease_until = now() + interval '1 hour' where name like 'west%'`;
    await endsAtHome(it);
  },
);

test(
  'an old instance that is lost while accounts are on the way to it stops those, and only those',
  limited,
  async () => {
    const it = await soaking();
    await ask.reverse(it);
    for (
      let round = 0;
      round < 50 && (await it.db`select 1 from move_batch where purpose = 'reverse'`).length === 0;
      round++
    ) {
      await stepOnce(it.context('one'));
      await it.world({ maxMoves: 0 });
    }
    await lose(it, 'west');
    // The coordinator is away just now: who carries moves out looks by itself.
    await it.world();
    assert.equal(await countAt(it.db, 'west'), 0);
    await rounds(it, 10);
    assert.deepEqual([await countAt(it.db, 'east'), await countAt(it.db, 'west')], [3, 0]);
    await it.db`update component set lease_until = now() + interval '1 hour' where name = 'west'`;
    await endsAtHome(it);
  },
);

test(
  'where the old instance is lost for good, an administrator takes its accounts to another one, and the reversal ends',
  limited,
  async () => {
    const it = await soaking();
    await lose(it, 'west', 'west-mds');
    await ask.reverse(it);
    await rounds(it, 30);
    await it.db.begin(async (tx) => {
      const moves = await tx<{ accountId: never; toInstanceId: never }[]>`
      select a.id as "accountId", e.id as "toInstanceId" from account a join instance i on i.id = a.instance_id
        join instance e on e.name = 'east' where i.name = 'west-1-1'`;
      const batch = await createMoveBatch(tx, { purpose: 'manual', createdBy: 'ada', moves, listHeld: listHeldMoves });
      assert.equal(batch.queued, 3);
    });
    await until(it, it.context('one'), ['reversed']);
    assert.equal(await countAt(it.db, 'east'), 6);
  },
);

test(
  'a host that is lost with one of two administration services holds the end up for a while, and is named then',
  limited,
  async () => {
    const it = await scene();
    await insertTestProcess(it.db, { name: 'admin-2', kind: 'administration', release: '1.0.0', host: 'there' });
    await until(it, it.context('one'), ['expanded', 'soaking']);
    await ask.reverse(it);
    const lost = async () => await it.db`delete from component where name = 'admin-2'`;
    for (
      let round = 0;
      round < 60 && (await it.upgrade()).progress.step.at !== 'old-administrations-started';
      round++
    ) {
      await rounds(it, 1);
      await lost();
    }
    await stepOnce(it.context('one'));
    assert.match((await it.upgrade()).progress.waitingFor ?? '', /^administration services of 1\.0\.0: admin-2$/);
    await it.db`update desired_process set changed_at = changed_at - interval '1 hour'`;
    await it.db`update upgrade set updated_at = updated_at - interval '1 hour'`;
    await stepOnce(it.context('one'));
    const upgrade = await it.upgrade();
    assert.equal(upgrade.state, 'reversed');
    const last = (await listUpgradeEvents(it.db, upgrade.id)).at(-1)?.message ?? '';
    assert.match(last, /runs release 1\.0\.0 again.*but admin-2 has not returned to 1\.0\.0/);
  },
);
