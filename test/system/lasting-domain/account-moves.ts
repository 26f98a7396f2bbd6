/** Moves that an operator asks for, of named accounts, a group and a whole instance; nothing that was queued is lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupOperations } from '../../../src/api/groups.ts';
import { currentProfiles } from '../../../src/simulator/journal-summary.ts';
import { until } from '../../../src/testing/condition.ts';
import { untilAnswered, untilDrained } from '../../harness/evidence.ts';
import { demoBudget, setBudget } from '../../harness/preparation.ts';
import { accountsAt, activeDevices, commandJson, queue } from '../../harness/scene.ts';
import type { LastingDomain } from './stage.ts';

interface Created {
  batch: string;
  queued: number;
  skipped: { account: string; reason: string }[];
}
interface Batch {
  state: string;
  pauseReason: string | null;
  counts: Record<'queued' | 'closed' | 'cancelled' | 'delivering', number>;
  open: { account: string; state: string }[];
}

export function describeAccountMoves(stage: LastingDomain): void {
  async function statusOf(batch: string): Promise<Batch> {
    return await commandJson<Batch>(stage.domain, 'move', 'status', batch);
  }

  async function untilDone(batch: string): Promise<void> {
    await until(`the batch ${batch} is done`, 60_000, async () => {
      const [row] = await stage.domain.sql`select state from move_batch where id = ${batch}`;
      return row?.['state'] === 'done';
    });
  }

  test('a move of named accounts: commands queued, and handed out but unanswered, are acknowledged once after the move', async () => {
    const accounts = (await accountsAt(stage.domain, 'server-1')).slice(0, 3);
    const devices = await activeDevices(stage.domain, accounts);
    const { devices: views } = await stage.fleet.tell<{ devices: { name: string; udid: string }[] }>({
      do: 'devices',
    });
    const names = devices.map(({ udid }) => views.find((view) => view.udid === udid)?.name ?? '');
    const [holder, ...silent] = names;
    await stage.fleet.tell({ do: 'vanish', devices: [holder], moment: 'with-command' });
    await stage.fleet.tell({ do: 'vanish', devices: silent });
    const commands: string[] = [];
    for (const device of devices)
      commands.push(await queue(stage.domain, device.id), await queue(stage.domain, device.id));
    stage.enqueued.push(...commands);
    await until('one command is in the hands of a silent device', 20_000, async () => {
      const rows = await stage.domain
        .sql`select id from command where id = any(${commands}::uuid[]) and state = 'sent'`;
      return rows.length === 1;
    });

    const args = ['move', 'start', '--account', ...accounts, 'nobody', '--to', 'server-2'];
    const created = await commandJson<Created>(stage.domain, ...args);
    assert.equal(created.queued, 3);
    assert.deepEqual(created.skipped, [{ account: 'nobody', reason: 'not-found' }]);
    // The first ones' devices are silent, so the others may wait for half a minute until those are out of reach.
    await until('the accounts are at the other instance', 90_000, async () => {
      const there = await accountsAt(stage.domain, 'server-2');
      return accounts.every((account) => there.includes(account));
    });
    await stage.fleet.tell({ do: 'come-back' });
    await untilDrained(stage.domain);
    await untilDone(created.batch);

    const { commands: stories } = await untilAnswered(stage.fleet, commands);
    const carried = await stage.domain.sql<{ id: string; state: string; instance: string }[]>`
      select c.id, c.state, i.name as instance from command c join instance i on i.id = c.answered_instance
       where c.id = any(${commands}::uuid[])`;
    assert.equal(carried.length, commands.length);
    for (const { id, state, instance } of carried) {
      assert.deepEqual([state, instance], ['acknowledged', 'server-2']);
      assert.deepEqual([stories.get(id)?.executed, stories.get(id)?.answersAccepted], [1, 1]);
    }
  });

  test('a moved account’s devices are owed policy, service books and synchronization, and hold each item once', async () => {
    const rows = await stage.domain.sql<{ udid: string; software: string | null; items: string[]; srp: string }[]>`
      select d.udid, d.software_version as software, array_agg(v.item || ' ' || v.state order by v.item) as items,
             i.srp_identifier as srp
        from delivery v join device d on d.id = v.device_id join account a on a.id = d.account_id
        join instance i on i.id = a.instance_id
       where v.cause = 'move' group by d.id, i.id`;
    assert(rows.length > 0);
    const { devices: views } = await stage.fleet.tell<{ devices: { name: string; udid: string }[] }>({
      do: 'devices',
    });
    const profiles = currentProfiles((await untilAnswered(stage.fleet, [])).journal);
    for (const { udid, software, items, srp } of rows) {
      const expected = ['it-policy done', 'service-books done', 'synchronization done'];
      assert.deepEqual(items, software === '3.9' ? expected.slice(0, 1) : expected);
      const held = profiles.get(views.find((view) => view.udid === udid)?.name ?? '');
      const books = [...(held?.values() ?? [])]
        .flatMap(({ payloads }) => payloads)
        .filter(({ name }) => name[0] === '[');
      assert(
        books.every(({ name }) => name.includes(srp)),
        `${udid} holds books of another instance than ${srp}`,
      );
      assert.equal(new Set(books.map(({ name }) => name)).size, books.length);
    }
  });

  test('a move of a group; who is there already is named, and an unknown instance or group is refused', async () => {
    const here = (await accountsAt(stage.domain, 'server-1')).slice(0, 2);
    const [there] = await accountsAt(stage.domain, 'server-2');
    assert(there !== undefined);
    const { api } = stage.domain;
    await api.call(groupOperations.create, { body: { name: 'travellers' } });
    for (const account of [...here, there]) {
      await api.call(groupOperations.addMember, { params: { name: 'travellers', account } });
    }
    const text = await stage.domain.command('move', 'start', '--group', 'travellers', '--to', 'server-2');
    assert.equal(text.code, 0, text.stderr);
    assert.match(text.stdout, /2 accounts are queued in the batch/);
    assert.match(text.stdout, new RegExp(`${there}.*already-there`));
    const batch = /batch ([0-9a-f-]{36})/.exec(text.stdout)?.[1] ?? '';
    await untilDone(batch);
    const now = await accountsAt(stage.domain, 'server-2');
    assert(here.every((account) => now.includes(account)));
    const unknown = await stage.domain.command('move', 'start', '--group', 'travellers', '--to', 'server-9');
    assert.equal(unknown.code, 4, unknown.stderr);
    const noGroup = await stage.domain.command('move', 'start', '--group', 'nobody', '--to', 'server-2');
    assert.equal(noGroup.code, 4, noGroup.stderr);
  });

  test('a move of a whole instance: paused nothing begins, resumed it goes on, and back brings everybody home', async () => {
    const home = await accountsAt(stage.domain, 'server-2');
    // No device comes, so nothing drains: moving stops by itself before everybody has moved.
    const { devices: views } = await stage.fleet.tell<{ devices: { name: string }[] }>({ do: 'devices' });
    await stage.fleet.tell({ do: 'vanish', devices: views.map(({ name }) => name) });
    await setBudget(stage.domain, { ...demoBudget, perInstance: 1, perDomain: 1, perMinuteDomain: 200 });
    const created = await commandJson<Created>(stage.domain, 'move', 'start', '--from', 'server-2', '--to', 'server-1');
    assert.equal(created.queued, home.length);
    await until('some have moved', 30_000, async () => (await statusOf(created.batch)).counts.queued < home.length);
    const paused = await stage.domain.command('move', 'pause', created.batch, '--reason', 'lunch');
    assert.equal(paused.code, 0, paused.stderr);
    await until('moves under way have reached a safe point', 20_000, async () => {
      const { open } = await statusOf(created.batch);
      return open.every(({ state }) => state === 'queued' || state === 'delivering');
    });
    const before = await statusOf(created.batch);
    assert.deepEqual([before.state, before.pauseReason], ['paused', 'lunch']);
    assert(before.counts.queued > 0, JSON.stringify(before.counts));
    const text = await stage.domain.command('move', 'status', created.batch);
    assert.match(text.stdout, /paused: lunch/);
    const again = await stage.domain.command('move', 'pause', created.batch);
    assert.equal(again.code, 5, 'a paused batch cannot be paused');
    // What was moved drains meanwhile, and that must not let anything begin.
    await stage.fleet.tell({ do: 'come-back' });
    await untilDrained(stage.domain);
    assert.equal((await statusOf(created.batch)).counts.queued, before.counts.queued);

    assert.equal((await stage.domain.command('move', 'resume', created.batch)).code, 0);
    await until('it goes on', 30_000, async () => {
      return (await statusOf(created.batch)).counts.queued < before.counts.queued;
    });
    const back = await commandJson<Created>(stage.domain, 'move', 'back', created.batch);
    await setBudget(stage.domain, demoBudget);
    await untilDone(back.batch);
    assert.deepEqual(await accountsAt(stage.domain, 'server-2'), home);
    const cancelled = await statusOf(created.batch);
    assert.equal(cancelled.counts.queued, 0);
    const list = await stage.domain.command('move', 'status');
    assert.match(list.stdout, new RegExp(back.batch));
  });
}
