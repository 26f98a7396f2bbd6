/**
 * The worst case of an administration service: it is stopped with an open transaction and continued after the domain has
 * left its release. It begins an import of accounts, and is stopped (SIGSTOP) with the first rows written and
 * not committed.
 */
import { request } from 'node:http';
import { until } from '../../src/testing/condition.ts';
import type { RunningDomain } from './domain.ts';

export interface StoppedAdministration {
  name: string;
  processId: number;
  /** The account that it wrote and did not commit. */
  account: string;
  /** Continues it, with the rest of its request. */
  letGoOn(): void;
}

export async function stopAdministration(domain: RunningDomain, name: string): Promise<StoppedAdministration> {
  const [component] = await domain.sql`
    select loopback_url as url, process_id as "processId" from component where name = ${name}`;
  const processId = Number(component?.['processId']);
  const account = `never-committed-${process.pid}`;
  const upload = request(`${component?.['url']}/api/v1/accounts/import`, {
    method: 'POST',
    headers: { authorization: `Bearer ${domain.token}`, 'content-type': 'application/x-ndjson' },
  });
  upload.on('error', () => {});
  upload.on('response', (response) => response.resume());
  upload.write(`${JSON.stringify({ name: account })}\n`);
  // The service writes in batches: enough rows for the first one to reach the database.
  for (let row = 0; row < 600; row++) upload.write(`${JSON.stringify({ name: `${account}-${row}` })}\n`);
  await until('the import stands in an open transaction', 10_000, async () => {
    const [open] = await domain.sql`
      select 1 from pg_stat_activity
       where state = 'idle in transaction' and application_name like ${`bramble/administration/${name}@%`}`;
    return open !== undefined;
  });
  process.kill(processId, 'SIGSTOP');
  return {
    name,
    processId,
    account,
    letGoOn() {
      upload.end();
      try {
        process.kill(processId, 'SIGCONT');
      } catch {
        // The supervisor has already killed it: it was to exit, and a stopped process does not react to SIGTERM.
      }
    },
  };
}
