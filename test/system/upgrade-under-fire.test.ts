/**
 * One phased upgrade in which everything that can die does: the release fence meets a stopped administration service, the
 * coordinator is killed in every state that lasts long enough, and each process is killed while accounts move.
 */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Budget } from '../../src/api/budget.ts';
import { domainOperations } from '../../src/api/domain.ts';
import { AnsweredError } from '../../src/api/exchange.ts';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { installArchive, openArchive } from '../../src/release/archive.ts';
import { until } from '../../src/testing/condition.ts';
import { type BuiltArchive, patchedArchive, sealedArchive, workingTreeArchive } from '../harness/archives.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { assertNothingLost, untilServed } from '../harness/evidence.ts';
import type { RunningFleet } from '../harness/fleet.ts';
import { configureDomain, demoBudget, enrolFleet, setBudget } from '../harness/preparation.ts';
import { durableDatabase, kill, killAndAwait, postmasterId, processIdOf, runByHand } from '../harness/processes.ts';
import { sendRaw } from '../harness/raw-device.ts';
import { type Sampler, startSampler } from '../harness/sampler.ts';
import { stopAdministration } from '../harness/stopped-administration.ts';
import { openGate, startCoordinatorKiller, startUpgrade, untilUpgrade } from '../harness/upgrade.ts';
import { viewUpgrade } from '../harness/upgrade-view.ts';
import { startWorkload, type Workload } from '../harness/workload.ts';

/** Exit status of a process whose release does not fit. */
const incompatible = 8;
const settings = { srpIdentifier: 'S10000001' };
/** The states of the upgrade in which its coordinator is killed: those that last long enough to be seen. */
const fatalStates = ['planned', 'checked', 'expanded', 'moving', 'soaking', 'finalizing'];
/**
 * Moving lasts while one process after the other is killed, however long each takes to come back: meanwhile next to nothing is
 * sent, and between two kills only until some account more has settled.
 */
const heldBudget = { ...demoBudget, perMinuteInstance: 1, perMinuteDomain: 1 };
const slowBudget = { ...demoBudget, perMinuteInstance: 45, perMinuteDomain: 45 };

describe('an upgrade under fire', () => {
  let from: BuiltArchive;
  let to: BuiltArchive;
  let domain: RunningDomain;
  let fleet: RunningFleet;
  let sampler: Sampler;
  let workload: Workload;
  let killer: ReturnType<typeof startCoordinatorKiller> | undefined;
  let neverCommitted = '';

  before(async () => {
    [from, to] = [await sealedArchive(), await workingTreeArchive()];
    domain = await startDomain({
      archive: from.file,
      instances: 2,
      administrationServices: 2,
      databaseSettings: durableDatabase,
    });
    await configureDomain(domain, '127.0.0.1:9');
    fleet = await enrolFleet(
      domain,
      {
        ...{ devices: 18, accounts: 14, seed: 'upgrade-under-fire', interval: '2s' },
        journal: join(domain.home, 'journal.ndjson'),
      },
      heldBudget,
    );
    sampler = startSampler(domain.sql, heldBudget);
  });
  after(async () => {
    await killer?.stop();
    await workload?.stop();
    await fleet?.stop();
    await sampler?.stop();
    await domain?.stop();
  });

  /** What refuses an archive: status and code. */
  async function refusal(file: string): Promise<[number, string]> {
    const planned = domain.api.call(upgradeOperations.plan, { body: { archive: file } });
    const error = await planned.then(
      () => assert.fail('it was planned'),
      (error: unknown) => error,
    );
    if (!(error instanceof AnsweredError)) throw error;
    return [error.status, error.code];
  }

  test('an archive in which one byte is another is refused', async () => {
    const bytes = await readFile(to.file);
    const place = Math.floor(bytes.length / 2);
    bytes[place] = (bytes[place] ?? 0) ^ 1;
    const file = join(domain.home, 'changed.tgz');
    await writeFile(file, bytes);
    const [status, code] = await refusal(file);
    assert(status >= 400 && status < 500, `status ${status}`);
    assert(['ERR_RELEASE_ARCHIVE_CHANGED', 'ERR_RELEASE_ARCHIVE_MALFORMED'].includes(code), code);
  });

  test('a release that skips one, an earlier one and the same one are refused, each with what to do', async () => {
    const [major = 0, minor = 0] = from.release.split('.').map(Number);
    const skipping = await patchedArchive(`${major}.${minor + 2}.0`);
    assert.deepEqual(await refusal(skipping.file), [409, 'ERR_RELEASE_STEP']);
    const cli = await domain.command('upgrade', 'plan', '--archive', skipping.file);
    assert.equal(cli.code, 5);
    assert.match(cli.stderr, new RegExp(`${from.release} → ${major}\\.${minor + 1}\\.0 → ${skipping.release}`));
    const earlier = await patchedArchive(minor > 0 ? `${major}.${minor - 1}.0` : `${major - 1}.9.0`);
    assert.deepEqual(await refusal(earlier.file), [409, 'ERR_RELEASE_STEP']);
    assert.deepEqual(await refusal(from.file), [409, 'ERR_RELEASE_STEP']);
  });

  test('an instance whose release needs a newer schema does not start', async () => {
    const { leastSchemaVersion } = await openArchive(to.file);
    const ahead = await patchedArchive(to.release, [
      { find: `leastSchemaVersion:${leastSchemaVersion},`, replace: 'leastSchemaVersion:9999,' },
    ]);
    await installArchive(ahead.file, { home: domain.home });
    const { code, said } = await runByHand(domain, to.release, 'server', 'server-1', settings);
    assert.equal(code, incompatible, said);
    assert.match(said, /ERR_SCHEMA_TOO_OLD/);
  });

  test('the release fence ends what a stopped administration service had open, and no rival of the old release starts', async () => {
    const stopped = await stopAdministration(domain, 'administration-2');
    neverCommitted = stopped.account;
    workload = startWorkload(domain, fleet, '127.0.0.1:9', { commandIntervalMs: 400, tunnels: 0, tunnelMs: 1000 });
    killer = startCoordinatorKiller(domain, fatalStates);
    const options = {
      canariesPerInstance: 1,
      wavePercentages: [100],
      soakSeconds: 1,
      fenceGraceMs: 1000,
      gate: openGate,
    };
    await startUpgrade(domain, to, options, ['components']);
    await until('the database is of the new release', 200_000, async () => {
      const [row] = await domain.sql`select release from domain`;
      return row?.['release'] === to.release;
    });
    stopped.letGoOn();
    const { code, said } = await runByHand(domain, from.release, 'administration', 'administration-rival');
    assert.equal(code, incompatible, said);
    assert.match(said, /ERR_RELEASE_MISMATCH/);
    assert(said.includes(from.release) && said.includes(to.release), 'it names both releases');
    const [row] = await domain.sql<{ there: number }[]>`
      select count(*)::int as there from account where name like ${`${neverCommitted}%`}`;
    assert.equal(row?.there, 0);
  });

  test('an instance of the old release that is killed on the expanded schema comes back on it and serves', async () => {
    await untilUpgrade(domain, ['expanded', 'admin-upgraded', 'moving']);
    await killAndAwait(domain, 'server-1');
    const [row] = await domain.sql`select release from component where name = 'server-1'`;
    assert.equal(row?.['release'], from.release);
    await untilServed(domain, fleet);
  });

  test('while accounts move, each process is killed in turn, and moving goes on', async () => {
    await untilUpgrade(domain, [], { enough: (view) => view.state === 'moving' && view.moved > 0 });
    const [made] = await domain.sql<{ name: string; processes: string[] }[]>`
      select n->>'name' as name from upgrade u, jsonb_array_elements(u.progress->'newInstances') n
       where u.state = 'moving' order by 1`;
    assert(made);
    const victims = ['server-2', made.name, 'administration-1', 'router-1', 'postgres'];
    await untilOneMoreSettles('the upgrade has begun');
    for (const victim of victims) {
      const { state, moved, assigned } = await viewUpgrade(domain);
      assert.equal(state, 'moving', `${victim} is to be killed while accounts move (${moved} of ${assigned})`);
      const back = victim === 'postgres' ? await killPostgres() : await kill(domain, victim);
      await insistOnBudget(heldBudget);
      await back();
      await untilOneMoreSettles(`${victim} was killed`);
    }
    await untilServed(domain, fleet);
  });

  /** Leaves it going on. */
  async function untilOneMoreSettles(after: string): Promise<void> {
    const settled = await settledMoves();
    await insistOnBudget(slowBudget);
    await until(`an account more has settled after ${after}`, 120_000, async () => (await settledMoves()) > settled);
  }

  /** Whatever was killed may be what answers. */
  async function insistOnBudget(budget: Budget): Promise<void> {
    await until('the budget is set', 60_000, async () => {
      await setBudget(domain, budget);
      return true;
    });
  }

  async function settledMoves(): Promise<number> {
    const [row] = await domain.sql<{ count: number }[]>`
      select count(*)::int as count from account_move where settled_at is not null`;
    return row?.count ?? 0;
  }

  async function killPostgres(): Promise<() => Promise<void>> {
    const before = await postmasterId(domain);
    process.kill(before, 'SIGKILL');
    return async () => {
      await until('the supervisor has started PostgreSQL again', 60_000, async () => {
        return (await postmasterId(domain)) !== before;
      });
    };
  }

  test('all accounts arrive, the upgrade is finalized, and every component is of the new release', async (t) => {
    await setBudget(domain, demoBudget);
    await untilUpgrade(domain, ['soaking']);
    await until(
      'the coordinator was killed while soaking',
      30_000,
      async () => killer?.killedIn.has('soaking') === true,
    );
    await until('the upgrade is being finalized', 60_000, async () => {
      try {
        await domain.api.call(upgradeOperations.finalize, {});
        return true;
      } catch (error) {
        if (!(error instanceof AnsweredError)) throw error;
        t.diagnostic(`finalize: ${error.status} ${error.code}`);
        // An earlier attempt whose answer was lost may have been carried out.
        return ['finalizing', 'done'].includes((await viewUpgrade(domain)).state);
      }
    });
    await untilUpgrade(domain, ['done']);
    await killer?.stop();
    assert.deepEqual([...(killer?.killedIn ?? [])], fatalStates, 'the coordinator was killed in each of these states');
    const rows = await domain.sql`select name, release from component where release <> ${to.release}`;
    assert.deepEqual([...rows], []);
    const [row] = await domain.sql`select release, feature_level as level from domain`;
    assert.deepEqual({ ...row }, { release: to.release, level: to.release });
  });

  test('after finalizing an instance of the old release does not start', async () => {
    const { code, said } = await runByHand(domain, from.release, 'server', 'server-1', settings);
    assert.equal(code, incompatible, said);
    assert.match(said, /ERR_RELEASE_TOO_OLD/);
  });

  test('after finalizing devices are told of the registration authority that the expansion made', async () => {
    const made = await domain.sql`select name from authority where name in ('profile-signer', 'registration')`;
    assert.equal(made.length, 2);
    const [device] = await domain.sql<{ token: string }[]>`select token from device where state = 'active' limit 1`;
    const told = await sendRaw(`${domain.publicUrl}/scep/${device?.token}?operation=GetCACert`, { method: 'GET' });
    assert.deepEqual([told.status, told.contentType], [200, 'application/x-x509-ca-ra-cert']);
  });

  test('nothing was lost or done twice, and no invariant broke', async () => {
    await workload.stop();
    await untilServed(domain, fleet);
    const { samples } = sampler;
    assert(workload.enqueued.size > 20, `${workload.enqueued.size} commands`);
    await assertNothingLost(domain, fleet, { samples, neverCommitted, enqueued: workload.enqueued });
    assert(await processIdOf(domain, 'administration-1'));
  });

  test('each kind of process still has a database role of its own, with the rights of the new release', async () => {
    // Read raw: the shape's default would hide that it is missing.
    assert.partialDeepStrictEqual(await domain.api.send(domainOperations.status, {}), { sharedDatabaseRole: null });
    const check = await domain.command('database', 'roles', '--check');
    assert.equal(check.code, 0, check.stdout + check.stderr);
  });
});
