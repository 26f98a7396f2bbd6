/**
 * The checks before anything is changed, each with what to do about it. An error stops the upgrade; so does a warning
 * until an operator overrides it by name. A check that fails to run is an error, and never skipped.
 */

import type { CheckResult } from '../../api/upgrade-plan.ts';
import { messageOf } from '../../base/errors.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { type CheckName, checkNames } from './check-names.ts';
import { checkBackup } from './checks/backup-check.ts';
import { checkCertificates } from './checks/certificate-checks.ts';
import { type Check, type CheckOptions, error } from './checks/check.ts';
import { checkClocks } from './checks/clock-checks.ts';
import { checkBackfills, checkDatabase, checkLosses, checkRehearsal } from './checks/database-checks.ts';
import { checkOpenDeliveries } from './checks/delivery-checks.ts';
import { checkComponents, checkMoves } from './checks/domain-checks.ts';
import { checkDiskRoom, checkHosts, checkMasterKey } from './checks/host-checks.ts';
import { checkInstalled, checkSignature, checkStep } from './checks/release-checks.ts';
import { checkConnections, checkLongTransactions } from './checks/session-checks.ts';

const checks: Readonly<Record<CheckName, Check>> = {
  'release-step': checkStep,
  'release-installed': checkInstalled,
  'release-signature': checkSignature,
  hosts: checkHosts,
  clocks: checkClocks,
  components: checkComponents,
  'open-moves': checkMoves,
  'open-deliveries': checkOpenDeliveries,
  database: checkDatabase,
  connections: checkConnections,
  'long-transactions': checkLongTransactions,
  backfills: checkBackfills,
  'disk-room': checkDiskRoom,
  'master-key': checkMasterKey,
  certificates: checkCertificates,
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
