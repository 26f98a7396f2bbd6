/** What the tests of a lasting domain share: one domain of the working tree at work, its fleet, and what watches them. */
import { join } from 'node:path';
import { after, before } from 'node:test';
import { accountOperations } from '../../../src/api/accounts.ts';
import { workingTreeArchive } from '../../harness/archives.ts';
import { type RunningDomain, startDomain } from '../../harness/domain.ts';
import type { RunningFleet } from '../../harness/fleet.ts';
import { configureDomain, demoBudget, enrolFleet } from '../../harness/preparation.ts';
import { durableDatabase } from '../../harness/processes.ts';
import { type Sampler, startSampler } from '../../harness/sampler.ts';

export interface LastingDomain {
  domain: RunningDomain;
  fleet: RunningFleet;
  sampler: Sampler;
  /** Commands that the administration took. */
  readonly enqueued: string[];
}

const accounts = 12;

/** Its fields are there once the tests begin. */
export function lastingDomain(): LastingDomain {
  const stage: Partial<LastingDomain> & Pick<LastingDomain, 'enqueued'> = { enqueued: [] };
  before(async () => {
    const { file } = await workingTreeArchive();
    const domain = await startDomain({
      archive: file,
      instances: 2,
      administrationServices: 2,
      databaseSettings: durableDatabase,
    });
    stage.domain = domain;
    await configureDomain(domain, '127.0.0.1:9');
    // Half of them at each instance: where accounts are made at the same time, chance decides.
    for (let number = 1; number <= accounts; number += 1) {
      const name = `user-${String(number).padStart(4, '0')}`;
      await domain.api.call(accountOperations.create, { body: { name, instance: `server-${1 + (number % 2)}` } });
    }
    stage.fleet = await enrolFleet(domain, {
      ...{ devices: 16, accounts, seed: 'lasting-domain', interval: '1500ms' },
      journal: join(domain.home, 'journal.ndjson'),
    });
    stage.sampler = startSampler(domain.sql, demoBudget);
  });
  after(async () => {
    await stage.fleet?.stop();
    await stage.sampler?.stop();
    await stage.domain?.stop();
  });
  return stage as LastingDomain;
}
