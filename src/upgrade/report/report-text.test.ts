/** What people read of plans and gates: one of a thing is not several. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { upgradePlanSchema } from '../../api/upgrade-plan.ts';
import { planText } from './report-text.ts';

test('a plan with one of everything says so', () => {
  const plan = upgradePlanSchema.parse({
    options: {},
    waves: [{ number: 1, name: 'canary', accounts: 1, leastRequests: 1 }],
    needs: { processes: 1, memoryMb: 1, srpCredentials: 1, listeningPorts: 1, computers: [] },
    sends: { itPolicies: 1, serviceBooks: 1, synchronizations: 1, leastMinutes: 1 },
  });
  const text = planText(plan);
  assert.match(text, /1\. canary: 1 account, gate on 1 request\n/);
  assert.match(text, /1 more process, about 1 MB, 1 SRP credential, 1 listening port,/);
  assert.match(text, /1 IT policy, 1 set of service books, 1 synchronization;/);
  const { sends } = plan;
  const quick = planText({ ...plan, sends: { ...sends, leastMinutes: 0.2 } });
  assert.match(quick, /with this budget at least 12\.0 s$/m, 'less than a minute is told in seconds');
});
