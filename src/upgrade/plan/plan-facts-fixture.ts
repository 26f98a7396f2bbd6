/** For tests of plans: a domain with two instances on one host and 24 accounts, and what is asked when nothing is asked for. */
import { budgetSchema } from '../../api/budget.ts';
import { planOptionsSchema } from '../../api/upgrade-options.ts';
import type { PlanFacts } from './plan-facts.ts';

export const options = planOptionsSchema.parse({});
export const facts: PlanFacts = {
  now: new Date('2026-11-27T20:00:00Z'),
  fromRelease: '1.0.0',
  featureLevel: '1.0.0',
  target: { release: '1.1.0', features: ['old', 'shared-connection-services'], differences: [] },
  knownFeatures: ['old'],
  accounts: Array.from({ length: 24 }, (_, index) => ({
    name: `a${index}`,
    instance: index % 2 === 0 ? 'east' : 'west',
    devices: index < 16 ? 2 : 1,
  })),
  foundCanaries: undefined,
  instances: [
    { name: 'east', host: 'one', connectionServices: ['east-mds'], reaches: '' },
    { name: 'west', host: 'one', connectionServices: ['west-mds'], reaches: '' },
  ],
  takenNames: ['east', 'west', 'east-mds', 'west-mds', 'router'],
  hosts: ['one'],
  drainingHosts: [],
  deliveries: { itPolicies: 40, serviceBooks: 30, synchronizations: 30 },
  budget: budgetSchema.parse({ perMinuteDomain: 100, perMinuteInstance: 20 }),
  losses: [],
  supervisorsBehind: [],
};
