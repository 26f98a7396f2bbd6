/** When the supervisor begins a scheduled backup, and what becomes of one when the supervisor ends. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { isAlive } from '../../base/process-facts.ts';
import { until } from '../../testing/condition.ts';
import { begin, passed, writeSchedule, writeScheduleState } from './backup-schedule.ts';
import { startBackupTimer } from './backup-timer.ts';
import { createJournal } from './supervisor-fixture.ts';

const lookEveryMs = 10;
const yesterday = new Date(Date.now() - 2 * 86_400_000);

/** Notes that it runs, and ends with the code in `end` once there is one, or when it is told to. */
const program = `
  const { appendFileSync, existsSync, readFileSync } = require('node:fs');
  appendFileSync('runs', process.pid + '\\n');
  process.on('SIGTERM', () => { appendFileSync('runs', 'ended\\n'); process.exit(3); });
  setInterval(() => existsSync('end') && process.exit(Number(readFileSync('end', 'utf8'))), 5);`;

async function scheduled(t: TestContext): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'bramble-timer-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  await chmod(home, 0o700);
  await writeSchedule(home, {
    ...{ format: 1, daily: '00:00', folder: home, passphraseFile: join(home, 'passphrase'), scratch: null },
    ...{ onOtherFileSystem: false, keep: null, verifies: false, setBy: 'ada', setAt: yesterday.toISOString() },
  });
  return home;
}

const runsOf = async (home: string) =>
  (await readFile(join(home, 'runs'), 'utf8').catch(() => '')).split('\n').slice(0, -1);

function timerOn(t: TestContext, home: string) {
  const journal = createJournal();
  const timer = startBackupTimer({ home, command: ['-e', program], onEvent: journal.onEvent, lookEveryMs });
  t.after(async () => await timer.end(1000));
  return { ...journal, timer };
}

test('it begins when the time has come, one at a time, and says how it ended', async (t) => {
  const home = await scheduled(t);
  const { next, timer } = timerOn(t, home);
  const { pid } = await next('backup-begun');
  await until('the run has begun', 30_000, async () => (await runsOf(home)).length === 1);
  // Looks go on, and nothing says that it has begun: still there is one.
  await writeFile(join(home, 'end'), '5');
  assert.deepEqual((({ code, signal }) => [code, signal])(await next('backup-ended')), [5, null]);
  assert.deepEqual(await runsOf(home), [String(pid)]);
  await timer.end(1000);
});

test('it does not begin before the time, or without a schedule, and tells once of one that cannot be read', async (t) => {
  const home = await scheduled(t);
  await writeScheduleState(home, passed(begin(undefined, new Date(new Date().setHours(0, 0, 0, 0)), new Date())));
  const { next, all } = timerOn(t, home);
  await writeFile(join(home, 'backup-schedule.json'), '{"format": 1, "daily": "soon"}');
  const refused = await next('backup-not-begun');
  assert.equal(refused.code, 'ERR_CONFIGURATION');
  await rm(join(home, 'backup-schedule.json'));
  await writeSchedule(home, {
    ...{ format: 1, daily: '00:00', folder: home, passphraseFile: join(home, 'passphrase'), scratch: null },
    ...{ onOtherFileSystem: false, keep: null, verifies: false, setBy: 'ada', setAt: yesterday.toISOString() },
  });
  await rm(join(home, 'backup-schedule-state.json'));
  await next('backup-begun');
  assert.deepEqual(
    all.map(({ type }) => type),
    ['backup-not-begun', 'backup-begun'],
  );
});

test('a supervisor that ends has it end in order; one that is replaced leaves it to finish', async (t) => {
  const home = await scheduled(t);
  const first = timerOn(t, home);
  await first.next('backup-begun');
  await until('the run has begun', 30_000, async () => (await runsOf(home)).length === 1);
  await first.timer.end(30_000);
  assert.equal((await runsOf(home))[1], 'ended');
  const second = timerOn(t, home);
  const { pid } = await second.next('backup-begun');
  await until('the run has begun', 30_000, async () => (await runsOf(home)).length === 3);
  second.timer.letGo();
  assert.equal(await isAlive(pid), true);
  await writeFile(join(home, 'end'), '0');
  await until('the run is over', 30_000, async () => !(await isAlive(pid)));
});
