/** What hosts that are gone had reported goes with them: one of the same name that joins later has other releases. */
import type { Transaction } from '../database/connection.ts';
import { hasTable } from '../database/has-table.ts';

export async function forgetReports(tx: Transaction, hosts: readonly string[]): Promise<void> {
  if (!(await hasTable(tx, 'host_release'))) return;
  await tx`delete from host_release where host = any(${hosts as string[]})`;
}
