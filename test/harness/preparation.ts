/** What the domain of the demo is made of before its upgrade: services, policies, internal hosts, the budget. */
import type { Budget } from '../../src/api/budget.ts';
import { connectionServiceOperations } from '../../src/api/connection-services.ts';
import { deliveryOperations } from '../../src/api/deliveries.ts';
import { groupOperations } from '../../src/api/groups.ts';
import { itPolicyOperations } from '../../src/api/it-policies.ts';
import { serviceOperations } from '../../src/api/services.ts';
import type { RunningDomain } from './domain.ts';
import { untilDrained } from './evidence.ts';
import { type FleetOptions, type RunningFleet, startFleet } from './fleet.ts';

/** Tight enough to take effect: some hundred deliveries, few slots, a modest rate. */
export const demoBudget: Budget = {
  perInstance: 4,
  perDomain: 6,
  suspects: 6,
  perMinuteInstance: 360,
  perMinuteDomain: 600,
  suspectAfterSeconds: 3,
};

/** Holds nothing back: for preparing what a test starts from. */
const ampleBudget: Budget = {
  ...{ perInstance: 100, perDomain: 200, suspects: 100, perMinuteInstance: 6000, perMinuteDomain: 12_000 },
  suspectAfterSeconds: 30,
};

/** Starts a fleet, waits until its devices have acknowledged everything they were owed, and then sets `budget`. */
export async function enrolFleet(
  domain: RunningDomain,
  options: FleetOptions,
  budget: Budget = demoBudget,
): Promise<RunningFleet> {
  await setBudget(domain, ampleBudget);
  const fleet = await startFleet(domain, options);
  try {
    await untilDrained(domain);
    await setBudget(domain, budget);
  } catch (error) {
    await fleet.stop();
    throw error;
  }
  return fleet;
}

const mailServer = { host: 'mail.example.com', username: '{account}' };

export async function configureDomain(domain: RunningDomain, internalTarget: string): Promise<void> {
  const { api } = domain;
  const settings = {
    CMIME: { protocol: 'imap', address: '{account}', incoming: mailServer, outgoing: mailServer },
    CICAL: { host: 'calendar.example.com' },
    SYNC: { host: 'contacts.example.com' },
    IPPP: { matchDomains: ['intranet.example.com'] },
  };
  for (const [type, of] of Object.entries(settings)) {
    await api.call(serviceOperations.set, { params: { type }, body: { settings: of } });
  }
  await api.call(groupOperations.create, { body: { name: 'field staff', rank: 1 } });
  const rules = { passwordRequired: true, passwordMinimumLength: 8 };
  await api.call(itPolicyOperations.create, { body: { name: 'Field staff', rules } });
  await api.call(itPolicyOperations.assignToGroup, {
    params: { name: 'field staff' },
    body: { policy: 'Field staff' },
  });
  await setBudget(domain, demoBudget);
  const { connectionServices } = await api.call(connectionServiceOperations.list, {});
  for (const { name } of connectionServices) {
    await api.call(connectionServiceOperations.change, { params: { name }, body: { allowedHosts: [internalTarget] } });
  }
}

export async function setBudget(domain: RunningDomain, budget: Partial<Budget>): Promise<void> {
  await domain.api.call(deliveryOperations.changeBudget, { body: { ...budget } });
}
