/** Texts of the overview. */
import { counted } from '../../base/counted.ts';
import { listed, many } from './words.ts';

export const overviewWords = {
  lead: (release: string, url: string, groups: readonly string[] | null) =>
    `Release ${release} · devices connect to ${url}${groups === null ? '' : ` · you see ${listed(groups) || 'no group'}`}`,
  live: 'Live',
  connecting: 'Connecting',
  asOf: (clock: string) => `As of ${clock}`,
  attention: 'Needs attention',
  worstFirst: (count: number) => `${count} matters, the worst first`,
  attentionLabel: 'What needs attention',
  allWell: '**Nothing needs your attention.** All components are running.',
  allWellOfGroups: '**Nothing needs your attention.**',
  accounts: 'Accounts',
  onInstances: (count: number) => `on ${many(count, 'server instance')}`,
  devices: 'Devices',
  noDevices: 'No device has enrolled yet.',
  deliveries: 'Deliveries in flight',
  ofBudget: (budget: number) => `of ${budget}`,
  waiting: (owed: number, suspects: number, maxSuspects: number, reason: string | null) =>
    `${owed.toLocaleString('en')} waiting, ${suspects} of ${maxSuspects} suspects${reason === null ? '' : `. They wait for: ${reason}`}`,
  components: 'Components',
  sideBySide: (count: number) => `${count} releases side by side`,
  oneRelease: 'all of one release',
  release: (release: string) => `Release ${release}`,
  componentCount: (count: number) => counted(count, 'component'),
  gone: 'gone',
  noLink: 'no link',
  noComponents: 'No component is registered.',
  running: 'running',
  place: (kind: string, host: string) => `${kind} on ${host}, started `,
  serves: (accounts: number, devices: number, routers: readonly string[]) =>
    `${many(accounts, 'account')}, ${many(devices, 'device')}, ${routers.length === 0 ? 'no link' : `linked to ${listed(routers)}`}`,
  events: 'Recent events',
  noEvents: 'Nothing has happened yet.',
} as const;

export const figureWords = {
  lastHour: 'The last hour',
  none: 'Charts appear once devices have connected. A minute is shown as soon as it has ended.',
  requests: 'Requests from devices',
  requestsAside: 'per minute',
  requestsLabel: 'Requests from devices per minute',
  answered: 'answered',
  failed: 'failed',
  latency: 'Response time',
  latencyAside: 'in ms, as routers measure it',
  median: 'median',
  within95: '95 %',
  within99: '99 %',
  deliveries: 'Deliveries',
  deliveriesAside: 'most in each minute',
  deliveriesLabel: 'Deliveries waiting and in flight',
  inFlight: 'in flight',
  waiting: 'waiting',
  suspects: 'suspects',
  budget: 'budget',
  milliseconds: 'ms',
} as const;

const kinds: Readonly<Record<string, string>> = {
  server: 'server instance',
  administration: 'administration service',
  connection: 'connection service',
  coordinator: 'upgrade coordinator',
};

/** What people call a kind of component. */
export function kindText(kind: string): string {
  return kinds[kind] ?? kind;
}

/** What needs attention: a title, and its one reason. */
export const concernWords = {
  restored: {
    title: 'The restored domain is paused',
    reason: (by: string) => `${by} restored it from a backup. Its routers and instances wait until you resume.`,
  },
  paused: {
    title: (to: string) => `The upgrade to ${to} is paused`,
    reason: 'No reason was given.',
    askedOf: 'Those who run the domain know why.',
  },
  decision: {
    title: (to: string) => `The upgrade to ${to} waits for your decision`,
    reason: (locked: number) =>
      `All waves have passed. Finalize or reverse it${locked === 0 ? '' : `; until then ${counted(locked, 'feature')} ${locked === 1 ? 'stays' : 'stay'} locked`}.`,
  },
  gone: {
    title: (name: string) => `${name} is gone`,
    reason: (kind: string, host: string) => `The ${kind} on ${host} has stopped reporting without shutting down.`,
  },
  unlinked: {
    title: (name: string) => `${name} has no link to a router`,
    reason: 'Devices of its accounts cannot reach it.',
  },
  suspects: {
    title: (instances: readonly string[]) => `Silent devices hold back deliveries on ${listed(instances)}`,
    reason: (silent: number) =>
      `${counted(silent, 'device')} took a delivery and fell silent; others wait for their places.`,
  },
  ended: {
    title: (devices: number) => `${counted(devices, 'device')} can no longer authenticate`,
    reason: 'Their certificates have expired. They have to enrol again.',
  },
  renewals: {
    title: (devices: number) => `The certificates of ${counted(devices, 'device')} could not be renewed`,
    reason: (soon: number) =>
      `${counted(soon, 'certificate')} of devices ${soon === 1 ? 'expires' : 'expire'} within 30 days.`,
  },
  unanswered: {
    title: (devices: number) => `${counted(devices, 'device')} took the same command again and again`,
    reason: 'They never answered it.',
  },
  certificate: {
    title: (name: string) => `Certificate: ${name}`,
    reason: (warning: string, renewal: string) => `${warning}. ${renewal}`,
  },
  notices: {
    title: (target: string) => `${target} cannot be reached`,
    reason: (waiting: number, lastError: string) =>
      `${counted(waiting, 'notice')} ${waiting === 1 ? 'waits' : 'wait'}. Last answer: ${lastError}`,
  },
  backup: { title: (host: string) => `No good backup on ${host}`, reason: 'The last one is overdue.' },
} as const;
