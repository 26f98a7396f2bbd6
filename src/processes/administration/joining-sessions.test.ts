/** What an invitation’s database role is good for: joining, while an invitation is open, and nothing that holds up the domain. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { clientOf } from '../../api/client-fixture.ts';
import { hostOperations } from '../../api/hosts.ts';
import { systemClock } from '../../base/clock.ts';
import { type Database, openDatabase } from '../../database/connection.ts';
import { readRoleCredentials, urlForRole } from '../../database/roles/role-credentials.ts';
import { maxSessions } from '../../database/roles/role-rights.ts';
import { establishRoles } from '../../database/roles/role-setup.ts';
import { sqlState } from '../../database/sql-state.ts';
import { lookForAnswer, postRequest } from '../../hosts/host-store.ts';
import { type Invitation, readInvitation } from '../../hosts/invitation.ts';
import { until } from '../../testing/condition.ts';
import { configureForHosts, startAdministration } from './administration-fixture.ts';
import { keepAnsweringHosts } from './host-joins.ts';
import { watchJoiningSessions } from './joining-sessions.ts';

const limited = { timeout: 120_000 };
const wrongPassword = '28P01';
const admin = await startAdministration();
await configureForHosts(admin);
await establishRoles(admin.databaseUrl, admin.home);
const role = (await readRoleCredentials(admin.home)).get('administration');
/** As the administration service of such a domain is: no superuser. */
const db = openDatabase(urlForRole(admin.databaseUrl, role), { applicationName: 'test' });
admin.context.db = db;
const stop = new AbortController();
const { release, masterKeys, log } = admin.context;
const service = { db, release, name: 'admin-1', host: 'test-host', home: admin.home, masterKeys, log };
const working = [
  keepAnsweringHosts(service, systemClock, stop.signal),
  watchJoiningSessions(service, systemClock, stop.signal),
];
const opened: Database[] = [];
after(async () => {
  stop.abort();
  await Promise.all(working);
  await Promise.all(opened.map((sql) => sql.end({ timeout: 5 })));
  await db.end({ timeout: 5 });
  await admin.close();
});

const bare = new URL(admin.databaseUrl);
bare.username = bare.password = '';

async function invite(name: string): Promise<Invitation> {
  const body = { name, databaseUrl: bare.href };
  return readInvitation((await clientOf(admin).call(hostOperations.invite, { body })).invitation);
}

function session({ databaseUrl }: Invitation): Database {
  const sql = openDatabase(databaseUrl, { applicationName: 'bramble/join', max: 1 });
  opened.push(sql);
  return sql;
}

const passwordOf = ({ databaseUrl }: Invitation): string => new URL(databaseUrl).password;

async function assertShutOut(invitation: Invitation): Promise<void> {
  await assert.rejects(session(invitation)`select 1`, (error) => sqlState(error) === wrongPassword);
}

async function expire(...invitations: Invitation[]): Promise<void> {
  await admin.db`update host_invitation set expires_at = now() where id = any(${invitations.map(({ id }) => id)})`;
  await until('they are gone', 60_000, async () => (await admin.db`select 1 from host_invitation`).length === 0);
}

test(
  'an invitation’s role logs in until the last invitation of its time is over, and never again',
  limited,
  async () => {
    const [oslo, rome] = [await invite('oslo'), await invite('rome')];
    assert.equal(passwordOf(oslo), passwordOf(rome), 'one role has one password');
    const held = session(rome);
    assert.notEqual(await lookForAnswer(held, rome.id), undefined);
    await admin.db`delete from host_invitation where id = ${oslo.id}`;
    assert.equal((await held`select 1`).length, 1, 'another host’s invitation is over, not this one’s');
    await expire(rome);
    for (const invitation of [oslo, rome]) await assertShutOut(invitation);
    await assert.rejects(held`select 1`, 'its session was ended');
    const bern = await invite('bern');
    assert.notEqual(passwordOf(bern), passwordOf(rome));
    await assertShutOut(rome);
    assert.equal((await session(bern)`select 1`).length, 1);
    await expire(bern);
  },
);

test('a replaced invitation, and that of a removed host, log in no more', limited, async () => {
  const first = await invite('lima');
  const second = await invite('lima');
  await assertShutOut(first);
  assert.equal((await session(second)`select 1`).length, 1);
  await clientOf(admin).call(hostOperations.remove, { params: { name: 'lima' } });
  await assertShutOut(second);
});

test(
  'who changes the role’s password keeps it from those who are invited until the next invitation only',
  limited,
  async () => {
    const invitation = await invite('cairo');
    const mallory = session(invitation);
    await mallory`alter role current_user password 'mine'`;
    await assertShutOut(invitation);
    const next = await invite('quito');
    assert.equal((await session(next)`select 1`).length, 1);
    await mallory`alter role current_user password 'mine'`;
    await expire(invitation, next);
    await assertShutOut({
      ...next,
      databaseUrl: urlForRole(bare.href, { user: new URL(next.databaseUrl).username, password: 'mine' }),
    });
  },
);

test('what who was invited has set for the role is gone with the next invitation', limited, async () => {
  for (const setting of ['search_path = nowhere', 'default_transaction_read_only = on']) {
    const oslo = await invite('oslo');
    const mallory = session(oslo);
    const set = async () => {
      for (const where of ['', `in database "${bare.pathname.slice(1)}"`])
        await mallory.unsafe(`alter role current_user ${where} set ${setting}`);
    };
    await set();
    const beside = await invite('rome');
    assert.ok(await postRequest(session(beside), beside.id, '{}', 'none'), `${setting}, while it was open`);
    await set();
    await expire(oslo, beside);
    const next = await invite('bern');
    assert.ok(await postRequest(session(next), next.id, '{}', 'none'), `${setting}, after it was over`);
    await expire(next);
  }
});

test('what it holds in a transaction is let go within seconds, though it is invited', limited, async () => {
  const [paris, bonn] = [await invite('paris'), await invite('bonn')];
  const mallory = session(paris);
  const transaction = mallory.begin(async (tx) => {
    await tx`update host_invitation set request = '{}'`;
    await new Promise<void>((resolve) => stop.signal.addEventListener('abort', () => resolve()));
  });
  const ended = assert.rejects(transaction);
  await until('it holds the rows', 30_000, async () => {
    const rows =
      await admin.db`select 1 from pg_stat_activity where usename = ${new URL(paris.databaseUrl).username} and state = 'idle in transaction'`;
    return rows.length === 1;
  });
  // Waits for these rows.
  await clientOf(admin).call(hostOperations.remove, { params: { name: 'bonn' } });
  await ended;
  assert.equal((await session(paris)`select 1`).length, 1, 'who was invited can still join');
  await expire(paris, bonn);
});

test('an invitation that expired is removed, though its role always holds it', limited, async () => {
  const lima = await invite('lima');
  const name = new URL(lima.databaseUrl).username;
  let held = 0;
  let isOver = false;
  /** Passes the row on to the next of them, until nobody can log in. */
  const hold = async () => {
    while (!isOver) {
      try {
        await session(lima).begin(async (tx) => {
          await tx`update host_invitation set request = '{}' where id = ${lima.id}`;
          held++;
          await until('the next one waits for it', 60_000, async () => {
            const waiting =
              await admin.db`select 1 from pg_stat_activity where usename = ${name} and wait_event_type = 'Lock'`;
            return isOver || waiting.length > 0;
          });
        });
      } catch (error) {
        if (sqlState(error) === wrongPassword) return;
      }
    }
  };
  const holding = Promise.all([hold(), hold(), hold()]);
  try {
    await until('it is passed on', 30_000, () => held > 3);
    // Waits for the row as they do.
    await expire(lima);
    await assertShutOut(lima);
  } finally {
    isOver = true;
    await holding;
  }
});

test('who takes all sessions of the role is parted from them, though others are invited', limited, async () => {
  const [oslo, rome] = [await invite('oslo'), await invite('rome')];
  await Promise.all(Array.from({ length: maxSessions.join ?? 0 }, async () => await session(oslo)`select 1`));
  await assert.rejects(session(rome)`select 1`, (error) => sqlState(error) === '53300');
  await until('another host can log in', 60_000, async () => {
    const rows = await session(rome)`select 1`.catch(() => []);
    return rows.length === 1;
  });
  await expire(oslo, rome);
});
