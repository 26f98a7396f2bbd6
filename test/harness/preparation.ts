/** What the domain of the demo is made of before its upgrade: services, policies, internal hosts, the budget. */
import { expectDone, type RunningDomain } from './domain.ts';

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
