/** What a release has to do to show that it works: activate a device and change its policy, both acknowledged. */

import { accountOperations } from '../../src/api/accounts.ts';
import { itPolicyOperations } from '../../src/api/it-policies.ts';
import { until } from '../../src/testing/condition.ts';
import type { RunningDomain } from './domain.ts';
import type { RunningFleet } from './fleet.ts';

/** Creates the account `name`, activates its device and then assigns another IT policy. @throws Error if not acknowledged. */
export async function activateAndChangePolicy(domain: RunningDomain, fleet: RunningFleet, name: string): Promise<void> {
  const params = { name };
  await domain.api.call(accountOperations.create, { body: { name } });
  const { password } = await domain.api.call(accountOperations.setActivationPassword, { params });
  await fleet.tell({ do: 'activate', account: name, password, platform: 'apple' });
  const acknowledged = (cause: string) => async () => {
    const [row] = await domain.sql`
      select 1 from delivery d join account a on a.id = d.account_id
       where a.name = ${name} and d.item = 'it-policy' and d.cause = ${cause} and d.state = 'done'`;
    return row !== undefined;
  };
  await until('the new device has its IT policy', 30_000, acknowledged('activation'));
  const stricter = { params: { name: 'Field staff' }, body: { rules: { passwordMinimumLength: 10 } } };
  await domain.api.call(itPolicyOperations.replaceRules, stricter);
  await domain.api.call(itPolicyOperations.assignToAccount, { params, body: { policy: 'Field staff' } });
  await until('the changed policy is acknowledged', 30_000, acknowledged('policy-change'));
}
