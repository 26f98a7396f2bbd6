/** What the tests of a quiet domain share: one domain of the working tree, at which only their own few devices come. */
import { after, before } from 'node:test';
import { workingTreeArchive } from '../../harness/archives.ts';
import { type RunningDomain, startDomain } from '../../harness/domain.ts';

export interface QuietDomain {
  domain: RunningDomain;
}

/** Its domain is there once the tests begin. */
export function quietDomain(): QuietDomain {
  const stage: Partial<QuietDomain> = {};
  before(async () => {
    const { file } = await workingTreeArchive();
    stage.domain = await startDomain({ archive: file, instances: 2 });
  });
  after(async () => await stage.domain?.stop());
  return stage as QuietDomain;
}
