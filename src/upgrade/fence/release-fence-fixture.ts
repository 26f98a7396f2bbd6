/**
 * A second process for the test of the release fence: an administration service in the middle of a write.
 * Usage: node release-fence-fixture.ts <database URL>. Writes one uncommitted row, says `open`, is told to go on by a line on
 * its standard input, then says how its commit ended.
 */
import { once } from 'node:events';
import { messageOf } from '../../base/errors.ts';
import { applicationName, openDatabase } from '../../database/connection.ts';
import { administrationTransaction } from '../../database/release-lock.ts';
import { recordEvent } from '../../domain/events.ts';

const url = process.argv[2] ?? '';
const db = openDatabase(url, {
  applicationName: applicationName('administration', 'stopped', 'elsewhere', process.pid),
  max: 1,
});
try {
  await administrationTransaction(db, '1.0.0', async (tx) => {
    await recordEvent(tx, { kind: 'late-write', message: 'from the stopped administration service' });
    console.log('open');
    await once(process.stdin, 'data');
  });
  console.log('committed');
} catch (error) {
  console.log(`refused: ${messageOf(error)}`);
} finally {
  process.stdin.destroy();
  await db.end({ timeout: 1 }).catch(() => {});
}
