/**
 * Rehearses an upgrade with the domain's data: a copy is made from a backup in a PostgreSQL of its own; this release expands
 * the copy's schema, the *old* release's administration service and an instance are started on the result, then the copy is
 * handed over as behind the release fence, and this release's are started on it. Each step is measured. The domain itself is not touched, and need not run.
 *
 * Invariant: whatever speaks against the upgrade is an obstacle in the record, so that a rehearsal that failed is known to the
 * checks of the upgrade; only what kept it from being tried is thrown.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { planOptionsSchema } from '../api/upgrade-options.ts';
import { openBackup } from '../backup/backup-file.ts';
import { writeHomeFiles } from '../backup/home-files.ts';
import { assertInstalledIn } from '../backup/installed-release.ts';
import { findInstance, startInstanceOn } from '../backup/instance-on-copy.ts';
import { assertReadable, homeFilesOf, type Program, rebuildDatabase } from '../backup/rebuild-database.ts';
import { prepareCopy, startReleaseOn } from '../backup/release-on-copy.ts';
import { withScratchFolder } from '../backup/scratch-folder.ts';
import { messageOf } from '../base/errors.ts';
import { type Database, openDatabase } from '../database/connection.ts';
import { installBinaries } from '../database/embedded/binaries.ts';
import { startEmbedded } from '../database/embedded/server.ts';
import { migrate } from '../database/migrate.ts';
import { readMasterKeys } from '../database/sealed-value.ts';
import { createMissingSigners } from '../domain/authority-creation.ts';
import { readDomain } from '../domain/domain.ts';
import { setDomainRelease } from '../domain/domain-changes.ts';
import type { Platforms } from '../platforms/port.ts';
import { verifyInstalled } from '../release/archive.ts';
import { planUpgrade } from '../upgrade/plan/plan.ts';
import { readPlanFacts } from '../upgrade/plan/plan-facts.ts';
import { listColumns, obstaclesOf } from '../upgrade/plan/rehearsal.ts';
import { type Rehearsal, recordRehearsal } from '../upgrade/plan/rehearsal-record.ts';
import { assertLaterProgram } from './later-program.ts';

interface RehearseOptions {
  file: string;
  passphrase: string;
  /** Has both releases and PostgreSQL's binaries, and afterwards the record. */
  home: string;
  /** The new release: the one that rehearses. */
  program: Program;
  platforms: Platforms;
  /** Who rehearses. */
  by: string;
  /** Where the copy is made; default the system's temporary folder. */
  scratch?: string;
  onProgress?: (step: RehearsalStep, done: number, of: number) => void;
  signal?: AbortSignal;
}

export type RehearsalStep = 'reading' | 'restoring' | 'expanding' | 'starting-old' | 'starting-new';

/** Nobody relies on the copy, but it is to be as fast as the domain's database: what that syncs, this does. */
const settings = { autovacuum: 'off', wal_level: 'minimal', max_wal_senders: '0' };
const applicationName = 'bramble/rehearsal';

/**
 * @throws BrambleError ERR_BACKUP_FILE, ERR_BACKUP_PASSPHRASE, ERR_BACKUP_RELEASE, ERR_RELEASE_STEP, ERR_RELEASE_NOT_INSTALLED:
 *   nothing was tried
 */
export async function rehearseUpgrade(options: RehearseOptions): Promise<Rehearsal> {
  const { file, passphrase, home, program, signal, onProgress = () => {} } = options;
  const backup = await openBackup(file, passphrase, (done, of) => onProgress('reading', done, of));
  await assertReadable(backup, program);
  const { domain } = backup.head;
  await assertLaterProgram({ home, from: domain.release, own: program.release, file });
  const releases = join(home, 'releases');
  for (const release of [domain.release, program.release])
    await assertInstalledIn(home, { name: domain.name, release });
  const binaries = await installBinaries(join(home, 'postgres'), null);
  return await withScratchFolder('rehearsal', options.scratch, async (folder) => {
    const postgres = join(folder, 'postgres');
    const { url } = await startEmbedded({ folder: postgres, settings, binaries, ...(signal ? { signal } : {}) });
    const copyHome = join(folder, 'home');
    await mkdir(copyHome);
    await writeHomeFiles(copyHome, await homeFilesOf(backup));
    const restored = await measured(() =>
      rebuildDatabase(url, backup, program, { signal, onProgress: (done, of) => onProgress('restoring', done, of) }),
    );
    const course = await runCourse({ ...options, url, copyHome, releases, from: domain.release, onProgress });
    const { tables } = backup.manifest;
    const rehearsal: Rehearsal = {
      ...{ domainId: domain.id, fromRelease: domain.release, toRelease: program.release },
      backup: { id: backup.head.id, file, takenAt: backup.head.takenAt },
      ...{ rehearsedAt: new Date().toISOString(), rehearsedBy: options.by },
      rows: tables.reduce((sum, { rows }) => sum + rows, 0),
      accounts: tables.find(({ name }) => name === 'account')?.rows ?? 0,
      ...{ obstacles: course.obstacles, found: course.found, moving: course.moving },
      times: { restoreMs: restored.ms, ...course.times },
    };
    await recordRehearsal(home, rehearsal);
    return rehearsal;
  });
}

interface CourseOptions extends Required<Pick<RehearseOptions, 'program' | 'platforms' | 'onProgress'>> {
  url: string;
  copyHome: string;
  releases: string;
  from: string;
}

interface Course extends Pick<Rehearsal, 'obstacles' | 'found' | 'moving'> {
  times: Omit<Rehearsal['times'], 'restoreMs'>;
}

/** Each step whatever the one before found, but for one that the next needs. */
async function runCourse({
  url,
  copyHome,
  releases,
  from,
  program,
  platforms,
  onProgress,
}: CourseOptions): Promise<Course> {
  const course: Course = {
    ...{ obstacles: [], found: [], moving: null },
    times: { expandMs: 0, migrations: [], oldStartMs: null, newStartMs: null },
  };
  const db = openDatabase(url, { applicationName, max: 1 });
  try {
    onProgress('expanding', 0, 1);
    const token = await prepareCopy(db, copyHome);
    if (!(await expand(course, db, url, program))) return course;
    course.moving = await planMoving(db, join(releases, program.release), platforms);
    const instance = await findInstance(db, copyHome);
    if (instance === undefined) course.found.push('no instance has its credential in this home: none was started');
    const start = async (release: string) => {
      try {
        const copy = { home: copyHome, databaseUrl: url, release, releases, token };
        const { said, startMs } = await startReleaseOn(copy, notStarted);
        course.found.push(said);
        if (instance !== undefined) {
          course.found.push(
            await startInstanceOn({ db, databaseUrl: url, home: copyHome, release }, instance, notStarted),
          );
        }
        return startMs;
      } catch (cause) {
        course.obstacles.push(messageOf(cause));
        return null;
      }
    };
    onProgress('starting-old', 0, 1);
    course.times.oldStartMs = await start(from);
    onProgress('starting-new', 0, 1);
    await handOver(db, copyHome, program.release);
    course.times.newStartMs = await start(program.release);
    return course;
  } finally {
    await db.end({ timeout: 5 });
  }
}

/** What the coordinator does between expanding and starting administration services of the new release. */
async function handOver(db: Database, home: string, release: string): Promise<void> {
  const keys = await readMasterKeys(join(home, 'keys', 'master.json'));
  await db.begin(async (tx) => {
    await setDomainRelease(tx, release);
    await createMissingSigners(tx, keys, await readDomain(tx));
  });
}

const notStarted = (what: string) => new Error(what);

/** False if the schema could not be expanded. */
async function expand(
  course: Course,
  db: Database,
  url: string,
  { release, migrations: folder }: Program,
): Promise<boolean> {
  const before = await listColumns(db);
  let last = performance.now();
  const began = last;
  const { migrations } = course.times;
  try {
    await migrate(url, {
      ...{ folder, release, contract: false, applicationName },
      onProgress: ({ number, name, backfilledRows = 0 }) => {
        const [now, known] = [performance.now(), migrations.find((each) => each.name === `${number}-${name}`)];
        const ms = now - last;
        if (known === undefined) migrations.push({ name: `${number}-${name}`, ms, backfilledRows });
        else Object.assign(known, { ms: known.ms + ms, backfilledRows });
        last = now;
      },
    });
  } catch (cause) {
    course.obstacles.push(`The schema could not be expanded: ${messageOf(cause)}`);
    return false;
  }
  course.times.expandMs = performance.now() - began;
  migrations.sort((one, other) => other.ms - one.ms);
  course.obstacles.push(...obstaclesOf(before, await listColumns(db)));
  return true;
}

/** What a plan with default options moves and sends. Null for a patch: in place nobody moves. */
async function planMoving(db: Database, folder: string, platforms: Platforms): Promise<Rehearsal['moving']> {
  const { release, features } = await verifyInstalled(folder);
  const target = { release, features, differences: [] };
  const options = planOptionsSchema.parse({});
  const own = { host: applicationName, features, platforms };
  const plan = planUpgrade(await readPlanFacts(db, target, own, options), options);
  if (plan.inPlace) return null;
  const { itPolicies, serviceBooks, synchronizations, leastMinutes } = plan.sends;
  return {
    deliveries: itPolicies + serviceBooks + synchronizations,
    leastMinutes,
    waves: plan.waves.length,
    soakSeconds: options.soakSeconds,
  };
}

async function measured(work: () => Promise<void>): Promise<{ ms: number }> {
  const began = performance.now();
  await work();
  return { ms: performance.now() - began };
}
