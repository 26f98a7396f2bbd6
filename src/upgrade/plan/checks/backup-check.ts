/** The check `backup`: was a backup of this domain, as it is now, restored as a test, and not long ago? */
import { databaseTime } from '../../../database/database-time.ts';
import { readDomain } from '../../../domain/domain.ts';
import { readVerifiedBackup, type VerifiedBackup } from '../../../domain/verified-backups.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';
import { type CheckOptions, type Finding, passed, warning } from './check.ts';

/** What was written after the backup is lost if it is needed. */
const maxBackupAgeHours = 24;

/** A backup counts once it was restored and inspected: `bramble backup verify` records that in this home. */
export async function checkBackup(
  { db, home }: Pick<CheckOptions, 'db' | 'home'>,
  { plan }: Pick<Upgrade, 'plan'>,
): Promise<Finding> {
  if (plan.patch) return passed('a patch changes no schema, and can be reversed until it is finalized');
  const domain = await readDomain(db);
  const [of, any] = [await readVerifiedBackup(home, domain.domainId), await readVerifiedBackup(home)];
  const now = await databaseTime(db);
  const what = (backup: VerifiedBackup) => `${backup.file}, as of ${backup.takenAt}, verified by ${backup.verifiedBy}`;
  const remedy =
    'Run `bramble backup create` and `bramble backup verify` on this host, or say that you have a tested backup of another ' +
    'kind: --override backup.';
  if (of === undefined) {
    return warning(
      any === undefined
        ? `No backup of this domain was verified in this home. ${remedy}`
        : `The backup that was verified in this home is of another domain, "${any.domain}". ${remedy}`,
    );
  }
  if (of.release !== domain.release || of.schemaVersion !== domain.schemaVersion) {
    return warning(
      `The verified backup (${what(of)}) is of release ${of.release} with schema ${of.schemaVersion}, and the domain is ` +
        `${domain.release} with ${domain.schemaVersion}. ${remedy}`,
    );
  }
  const hours = (now.getTime() - Date.parse(of.takenAt)) / 3_600_000;
  if (hours > maxBackupAgeHours) {
    return warning(
      `The verified backup (${what(of)}) is ${Math.floor(hours)} hours old, and at most ${maxBackupAgeHours} are accepted. ${remedy}`,
    );
  }
  return passed(`a backup was restored as a test: ${what(of)}, SHA-256 ${of.sha256.slice(0, 16)}…`);
}
