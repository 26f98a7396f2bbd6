/** Running counts over the journal's entries, for the live display and `stats`; the report reads the journal itself. */
import type { JournalEntry } from './journal.ts';

export interface FleetTally {
  readonly requestsSent: number;
  readonly requestsFailed: number;
  /** A second time, over a fresh connection. */
  readonly requestsSentAgain: number;
  readonly failedByClass: Readonly<Record<string, number>>;
  readonly commandsTold: number;
  readonly commandsExecuted: number;
  readonly toldAgain: number;
  readonly answersAccepted: number;
  readonly notNow: number;
  readonly woken: number;
  readonly profilesInstalled: number;
  readonly tunnelsOpened: number;
  readonly tunnelsRefused: number;
  readonly tunnelsBroken: number;
  /** Devices that left management because of an answer. */
  readonly lostDevices: number;
}

const countedAs: Partial<Record<JournalEntry['event'], keyof FleetTally>> = {
  told: 'commandsTold',
  'told-again': 'toldAgain',
  answered: 'answersAccepted',
  woken: 'woken',
  'profile-installed': 'profilesInstalled',
  'tunnel-opened': 'tunnelsOpened',
  'tunnel-refused': 'tunnelsRefused',
  'tunnel-broken': 'tunnelsBroken',
  unenrolled: 'lostDevices',
};

export function createFleetTally(): {
  observe(entry: JournalEntry): void;
  counts(): FleetTally;
  probeSuccesses(account: string): readonly number[];
} {
  const counts: Record<string, number> = {};
  const failedByClass: Record<string, number> = {};
  const probes = new Map<string, number[]>();
  const add = (name: keyof FleetTally): void => {
    counts[name] = (counts[name] ?? 0) + 1;
  };
  const observeRequest = (entry: Extract<JournalEntry, { event: 'request' }>): void => {
    add('requestsSent');
    if (entry.sentAgain) add('requestsSentAgain');
    if (entry.failure !== undefined) {
      failedByClass[entry.failure] = (failedByClass[entry.failure] ?? 0) + 1;
      if (entry.failure !== 'given-up') add('requestsFailed');
    } else if (entry.probe === true) {
      const times = probes.get(entry.account);
      if (times === undefined) probes.set(entry.account, [entry.at]);
      else times.push(entry.at);
    }
  };
  const observe = (entry: JournalEntry): void => {
    if (entry.event === 'request') observeRequest(entry);
    else if (entry.event === 'executed') add(entry.status === 'NotNow' ? 'notNow' : 'commandsExecuted');
    else {
      const name = countedAs[entry.event];
      if (name !== undefined) add(name);
    }
  };
  const of = (name: keyof FleetTally): number => counts[name] ?? 0;
  return {
    observe,
    probeSuccesses: (account) => probes.get(account) ?? [],
    counts: () => ({
      requestsSent: of('requestsSent'),
      requestsFailed: of('requestsFailed'),
      requestsSentAgain: of('requestsSentAgain'),
      failedByClass: { ...failedByClass },
      commandsTold: of('commandsTold'),
      commandsExecuted: of('commandsExecuted'),
      toldAgain: of('toldAgain'),
      answersAccepted: of('answersAccepted'),
      notNow: of('notNow'),
      woken: of('woken'),
      profilesInstalled: of('profilesInstalled'),
      tunnelsOpened: of('tunnelsOpened'),
      tunnelsRefused: of('tunnelsRefused'),
      tunnelsBroken: of('tunnelsBroken'),
      lostDevices: of('lostDevices'),
    }),
  };
}
