/** What the domain of the demo is made of before its upgrade: services, policies, internal hosts, the budget. */
import { expectDone, type RunningDomain } from './domain.ts';
import { untilDrained } from './evidence.ts';
import { type FleetOptions, type RunningFleet, startFleet } from './fleet.ts';

export interface DemoBudget {
  perInstance: number;
  perDomain: number;
  suspects: number;
  perMinuteInstance: number;
  perMinuteDomain: number;
  suspectAfterSeconds: number;
}

/** Chosen so that it really holds back: some hundred deliveries, few slots, a modest rate. */
export const demoBudget: DemoBudget = {
  perInstance: 4,
  perDomain: 6,
  suspects: 6,
  perMinuteInstance: 360,
  perMinuteDomain: 600,
  suspectAfterSeconds: 3,
};

/** Holds nothing back: for what is to be there before a test begins. */
const ampleBudget: DemoBudget = {
  ...{ perInstance: 100, perDomain: 200, suspects: 100, perMinuteInstance: 6000, perMinuteDomain: 12_000 },
  suspectAfterSeconds: 30,
};

/** Starts a fleet and waits until all that its devices are owed is acknowledged; `budget` holds from then on. */
export async function enrolFleet(
  domain: RunningDomain,
  options: FleetOptions,
  budget: DemoBudget = demoBudget,
): Promise<RunningFleet> {
  await expectDone(domain, 'PUT', '/budget', ampleBudget);
  const fleet = await startFleet(domain, options);
  try {
    await untilDrained(domain);
    await expectDone(domain, 'PUT', '/budget', budget);
  } catch (error) {
    await fleet.stop();
    throw error;
  }
  return fleet;
}

const mailServer = { host: 'mail.example.com', username: '{account}' };

export async function configureDomain(domain: RunningDomain, internalTarget: string): Promise<void> {
  const put = (path: string, body: unknown) => expectDone(domain, 'PUT', path, body);
  await put('/services/CMIME', {
    settings: { protocol: 'imap', address: '{account}', incoming: mailServer, outgoing: mailServer },
  });
  await put('/services/CICAL', { settings: { host: 'calendar.example.com' } });
  await put('/services/SYNC', { settings: { host: 'contacts.example.com' } });
  await put('/services/IPPP', { settings: { matchDomains: ['intranet.example.com'] } });
  await expectDone(domain, 'POST', '/groups', { name: 'field staff', rank: 1 });
  await expectDone(domain, 'POST', '/it-policies', {
    name: 'Field staff',
    rules: { passwordRequired: true, passwordMinimumLength: 8 },
  });
  await put('/groups/field%20staff/it-policy', { policy: 'Field staff' });
  await put('/budget', demoBudget);
  const services = await domain.rest<{ connectionServices: { name: string }[] }>('GET', '/connection-services');
  for (const { name } of services.body.connectionServices) {
    await expectDone(domain, 'PATCH', `/connection-services/${name}`, { allowedHosts: [internalTarget] });
  }
}
