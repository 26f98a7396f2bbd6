/**
 * The checks before anything is changed, each with what to do about it. An error stops the upgrade; so does a warning
 * until an operator overrides it by name. A check that fails to run is an error, and never skipped.
 */

import { readFile, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { CheckResult } from '../../api/upgrade-plan.ts';
import { counted } from '../../base/counted.ts';
import { isBrambleError, messageOf } from '../../base/errors.ts';
import { isLaterPatch } from '../../base/release-number.ts';
import type { Database } from '../../database/connection.ts';
import { readMasterKeys } from '../../database/sealed-value.ts';
import { sqlState } from '../../database/sql-state.ts';
import { loadAuthorities } from '../../domain/authorities.ts';
import { readDomain } from '../../domain/domain.ts';
import { countOpenMoves } from '../../moves/move-reports.ts';
import { listComponents } from '../../registry/components.ts';
import { readInstalled, verifyInstalled } from '../../release/archive.ts';
import { patchDifferences } from '../../release/patch-rule.ts';
import { judgementText } from '../../release/signer-judgement.ts';
import { assertPatch, releaseStep } from '../fence/release-step.ts';
import { judgeRelease } from '../fence/release-trust.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { type CheckName, checkNames } from './check-names.ts';
import { listAccountTables, lossesOf } from './loss-manifest.ts';
import { rehearseMigration } from './rehearsal.ts';

export interface CheckOptions {
  db: Database;
  databaseUrl: string;
  /** BRAMBLE_HOME. */
  home: string;
  /** This host's name. */
  host: string;
  /** This release, and the folder of its migrations. */
  release: string;
  migrations: string;
  applicationName: string;
}

type Finding = { result: 'passed' | 'warning' | 'error'; message: string };
type Check = (options: CheckOptions, upgrade: Upgrade) => Promise<Finding>;

const passed = (message: string): Finding => ({ result: 'passed', message });
const warning = (message: string): Finding => ({ result: 'warning', message });
const error = (message: string): Finding => ({ result: 'error', message });

const checks: Readonly<Record<CheckName, Check>> = {
  'release-step': checkStep,
  'release-installed': checkInstalled,
  'release-signature': checkSignature,
  hosts: checkHosts,
  components: checkComponents,
  'open-moves': checkMoves,
  database: checkDatabase,
  'disk-room': checkDiskRoom,
  'master-key': checkMasterKey,
  rehearsal: checkRehearsal,
  losses: checkLosses,
  backup: checkBackup,
};

/** Runs every check, whatever the others say; `begins` is called with the name of each. */
export async function runChecks(
  options: CheckOptions,
  upgrade: Upgrade,
  begins: (name: string) => Promise<void> = async () => undefined,
): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const name of checkNames) {
    await begins(name);
    const finding = await checks[name](options, upgrade).catch((cause: unknown) => error(messageOf(cause)));
    results.push({ name, ...finding });
  }
  return results;
}

async function checkStep({ db, home, release }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  const domain = await readDomain(db);
  if (domain.release !== upgrade.fromRelease) {
    return error(`The plan is for a domain of ${upgrade.fromRelease}, but this one is ${domain.release}. Plan again.`);
  }
  if (releaseStep(upgrade.fromRelease, upgrade.toRelease) === 'minor') {
    return passed(`${upgrade.fromRelease} to ${upgrade.toRelease} is a single step`);
  }
  const installed = async (which: string) => await verifyInstalled(join(home, 'releases', which));
  const differences = patchDifferences(await installed(upgrade.fromRelease), await installed(release));
  assertPatch(upgrade.fromRelease, upgrade.toRelease, differences);
  return passed(
    `${upgrade.toRelease} is a patch of ${upgrade.fromRelease}: schema, features and stored data are the same`,
  );
}

async function checkInstalled({ home, release }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  for (const wanted of [upgrade.fromRelease, release]) await verifyInstalled(join(home, 'releases', wanted));
  return passed(`${upgrade.fromRelease} and ${release} are installed and unmodified`);
}

/** The previous release may not have verified signatures; if it did, this repeats it. */
async function checkSignature({ db, home, release }: CheckOptions): Promise<Finding> {
  const installed = await readInstalled(join(home, 'releases', release));
  try {
    return passed(`${release} is ${judgementText(await judgeRelease(db, installed))}`);
  } catch (cause) {
    if (!isBrambleError(cause, 'ERR_RELEASE_SIGNER')) throw cause;
    return warning(`${cause.message} To continue anyway: --override release-signature.`);
  }
}

async function checkHosts({ host }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  const elsewhere = upgrade.plan.instances.filter((instance) => instance.host !== host);
  return elsewhere.length === 0
    ? passed(upgrade.plan.inPlace ? 'no instance is added' : 'new instances are on this host')
    : error(
        `SRP credentials can be installed only on this host (${host}), but these instances are planned elsewhere: ` +
          `${elsewhere.map((instance) => `${instance.name} on ${instance.host}`).join(', ')}. Plan them here.`,
      );
}

async function checkComponents({ db }: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  const components = (await listComponents(db)).filter((component) => component.kind !== 'coordinator');
  const { fromRelease, plan } = upgrade;
  // Those of an earlier patch work side by side with the domain's; a minor upgrade waits for them at its end, as for absent
  // ones.
  const earlier = components.filter(({ release }) => isLaterPatch(release, fromRelease));
  const other = components.filter((each) => each.release !== fromRelease && !earlier.includes(each));
  const named = (some: typeof components) => some.map(({ name, release }) => `${name} (${release})`).join(', ');
  if (other.length > 0) {
    return error(
      `Every component must run ${fromRelease}; these run another release: ${named(other)}. Start them from it, or ` +
        'forget them.',
    );
  }
  const absent = components.filter((component) => !component.alive).map((component) => component.name);
  const found = [
    ...(absent.length === 0 ? [] : [`Absent: ${absent.join(', ')}.`]),
    ...(earlier.length === 0 || plan.patch ? [] : [`Of an earlier patch: ${named(earlier)}.`]),
  ];
  return found.length === 0
    ? passed(`${counted(components.length, 'component is', 'components are')} alive`)
    : warning(
        `${found.join(' ')} They will block finalizing: start them from ${fromRelease}, or \`bramble component forget\`.`,
      );
}

async function checkMoves({ db }: CheckOptions): Promise<Finding> {
  const { uncommitted, delivering } = await countOpenMoves(db);
  if (uncommitted > 0)
    return error(
      `${counted(uncommitted, 'account move is', 'account moves are')} open. Let open moves finish, or cancel them.`,
    );
  return delivering > 0
    ? warning(`${delivering} moved accounts have open deliveries; they cannot be moved again until those are settled.`)
    : passed('no account move is open');
}

const minServerVersion = 150_000;

async function checkDatabase({ db }: CheckOptions): Promise<Finding> {
  const [row] = await db<{ version: number; replica: boolean }[]>`
    select current_setting('server_version_num')::int as version, pg_is_in_recovery() as replica`;
  if (row === undefined || row.replica) return error('The database is a replica: it accepts no writes.');
  if (row.version < minServerVersion) return error('PostgreSQL 15 or later is required.');
  return passed(`PostgreSQL ${Math.floor(row.version / 10_000)} accepts writes`);
}

const minFreeBytes = 512 * 1024 * 1024;

async function checkDiskRoom({ home }: CheckOptions): Promise<Finding> {
  const { bavail, bsize } = await statfs(home);
  const mebibytes = Math.floor((bavail * bsize) / 1024 / 1024);
  return bavail * bsize < minFreeBytes
    ? error(`Only ${mebibytes} MiB are free below ${home}; at least ${minFreeBytes / 1024 / 1024} MiB are needed.`)
    : passed(`${mebibytes} MiB are free on this host; the database’s host is not checked`);
}

async function checkMasterKey({ db, home }: CheckOptions): Promise<Finding> {
  await loadAuthorities(db, await readMasterKeys(join(home, 'keys', 'master.json')));
  return passed('the master key opens the domain’s authorities');
}

const insufficientPrivilege = '42501';

async function checkRehearsal(options: CheckOptions, upgrade: Upgrade): Promise<Finding> {
  if (upgrade.plan.patch) return passed('a patch changes no schema: there is nothing to rehearse');
  const { databaseUrl, applicationName } = options;
  const fromFolder = join(options.home, 'releases', upgrade.fromRelease, 'sql');
  try {
    const rehearsal = await rehearseMigration({
      databaseUrl,
      applicationName,
      from: { folder: fromFolder, release: upgrade.fromRelease },
      to: { folder: options.migrations, release: options.release },
    });
    return rehearsal.obstacles.length === 0
      ? passed(
          `on a scratch database the schema was migrated to ${rehearsal.schemaVersion}, and ${upgrade.fromRelease} ` +
            'works on it',
        )
      : error(
          `Release ${upgrade.fromRelease} could not work on the expanded schema: ${rehearsal.obstacles.join('; ')}.`,
        );
  } catch (cause) {
    if (sqlState(cause) !== insufficientPrivilege) throw cause;
    return warning('The migration cannot be rehearsed: the database’s role may not create a database (CREATEDB).');
  }
}

async function checkLosses({ db }: CheckOptions): Promise<Finding> {
  const losses = lossesOf(await listAccountTables(db));
  return losses.length === 0
    ? passed('nothing would be lost')
    : warning(`These would not be preserved: ${losses.map((loss) => `${loss.what} (${loss.why})`).join('; ')}.`);
}

/**
 * A backup counts once it has been restored and inspected. That cannot be recorded, so this check asks the operator.
 */
async function checkBackup({ home }: CheckOptions, { plan }: Upgrade): Promise<Finding> {
  if (plan.patch) return passed('a patch changes no schema, and can be reversed until it is finalized');
  const text = await readFile(join(home, 'backup-verified.json'), 'utf8').catch(() => undefined);
  if (text !== undefined) return passed('a verified backup is recorded');
  return warning(
    'No backup has been verified by restoring it, and this release cannot do that itself. Make a backup and restore ' +
      'it as a test, then override this warning: --override backup.',
  );
}
