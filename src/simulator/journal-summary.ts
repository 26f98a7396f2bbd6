/**
 * What a journal proves. Pure functions over its entries: the report of an upgrade compares these figures with plain
 * SQL, so they do not query the server.
 */
import type { AnswerStatus, FailureClass, JournalEntry, ProfileFacts } from './journal.ts';

interface RequestSummary {
  readonly sent: number;
  readonly ok: number;
  /** Requests that failed through no fault of the simulator: excludes `given-up`. */
  readonly failed: number;
  /** Sent a second time, as RFC 9112 §9.3.1 lets a client; whatever the outcome. */
  readonly sentAgain: number;
  readonly failedByClass: Readonly<Partial<Record<FailureClass, number>>>;
  /** Devices that left management because of a server's answer: always a catastrophe. */
  readonly lostDevices: readonly string[];
}

export function summarizeRequests(entries: Iterable<JournalEntry>): RequestSummary {
  let sent = 0;
  let ok = 0;
  let failed = 0;
  let sentAgain = 0;
  const failedByClass: Partial<Record<FailureClass, number>> = {};
  const lostDevices = new Set<string>();
  for (const entry of entries) {
    if (entry.event === 'unenrolled') lostDevices.add(entry.device);
    if (entry.event !== 'request') continue;
    sent += 1;
    if (entry.sentAgain) sentAgain += 1;
    if (entry.ok) ok += 1;
    if (entry.failure === undefined) continue;
    failedByClass[entry.failure] = (failedByClass[entry.failure] ?? 0) + 1;
    if (entry.failure !== 'given-up') failed += 1;
  }
  return { sent, ok, failed, sentAgain, failedByClass, lostDevices: [...lostDevices].sort() };
}

/** The whole story of one command at its device. */
export interface CommandStory {
  readonly commandUuid: string;
  readonly device: string;
  readonly account: string;
  readonly requestType: string;
  /** How often the server handed it out, repetitions included. */
  told: number;
  toldAgain: number;
  /** How often it had an effect: a number above 1 is a duplicate. NotNow has none. */
  executed: number;
  /** Answers other than NotNow that the server acknowledged with 200. */
  answersAccepted: number;
  notNow: number;
  /** The answer that counts: the last that was not NotNow. */
  status?: AnswerStatus;
  profile?: ProfileFacts;
}

/** Keyed by command UUID, lower case (UUIDs compare without case). */
export function summarizeCommands(entries: Iterable<JournalEntry>): Map<string, CommandStory> {
  const stories = new Map<string, CommandStory>();
  for (const entry of entries) {
    if (
      entry.event !== 'told' &&
      entry.event !== 'told-again' &&
      entry.event !== 'executed' &&
      entry.event !== 'answered'
    ) {
      continue;
    }
    const story = storyOf(stories, entry);
    switch (entry.event) {
      case 'told':
        story.told += 1;
        if (entry.profile !== undefined) story.profile = entry.profile;
        break;
      case 'told-again':
        story.told += 1;
        story.toldAgain += 1;
        break;
      case 'executed':
        if (entry.status === 'NotNow') story.notNow += 1;
        else {
          story.executed += 1;
          story.status = entry.status;
        }
        break;
      case 'answered':
        if (entry.status !== 'NotNow') story.answersAccepted += 1;
        break;
    }
  }
  return stories;
}

function storyOf(
  stories: Map<string, CommandStory>,
  entry: { commandUuid: string; device: string; account: string; requestType: string },
): CommandStory {
  const key = entry.commandUuid.toLowerCase();
  const known = stories.get(key);
  if (known !== undefined) return known;
  const fresh: CommandStory = {
    commandUuid: key,
    device: entry.device,
    account: entry.account,
    requestType: entry.requestType,
    told: 0,
    toldAgain: 0,
    executed: 0,
    answersAccepted: 0,
    notNow: 0,
  };
  stories.set(key, fresh);
  return fresh;
}

/** Device name -> payload identifier -> the profile that is installed after the last entry. */
export function currentProfiles(entries: Iterable<JournalEntry>): Map<string, Map<string, ProfileFacts>> {
  const devices = new Map<string, Map<string, ProfileFacts>>();
  const of = (device: string): Map<string, ProfileFacts> => {
    const known = devices.get(device) ?? new Map<string, ProfileFacts>();
    devices.set(device, known);
    return known;
  };
  for (const entry of entries) {
    switch (entry.event) {
      case 'profile-installed':
        of(entry.device).set(entry.profile.identifier, entry.profile);
        break;
      case 'profile-removed':
        of(entry.device).delete(entry.profileIdentifier);
        break;
      case 'erased':
      case 'unenrolled':
      case 'checked-out':
        of(entry.device).clear();
        break;
    }
  }
  return devices;
}

/**
 * Account -> the times (milliseconds since the epoch, ascending) at which a request of its devices succeeded.
 * @param probesOnly count only the closed loops that unavailability is measured with
 */
export function successTimes(entries: Iterable<JournalEntry>, probesOnly = true): Map<string, number[]> {
  const accounts = new Map<string, number[]>();
  for (const entry of entries) {
    if (entry.event !== 'request' || !entry.ok || (probesOnly && entry.probe !== true)) continue;
    const times = accounts.get(entry.account);
    if (times === undefined) accounts.set(entry.account, [entry.at]);
    else times.push(entry.at);
  }
  return accounts;
}

interface TunnelBreak {
  /** Milliseconds since the epoch. */
  readonly atMs: number;
  /** How long it had been open; 0 for one that never was. */
  readonly openMs: number;
  readonly account: string;
  readonly reason: string;
}

interface TunnelSummary {
  readonly opened: number;
  readonly refused: number;
  readonly broken: number;
  readonly breaks: readonly TunnelBreak[];
  readonly transferredBytes: number;
}

export function summarizeTunnels(entries: Iterable<JournalEntry>): TunnelSummary {
  let opened = 0;
  let refused = 0;
  let transferredBytes = 0;
  const openedAt = new Map<string, number>();
  const breaks: TunnelBreak[] = [];
  for (const entry of entries) {
    if (entry.event === 'tunnel-opened') {
      opened += 1;
      openedAt.set(entry.tunnel, entry.at);
    }
    if (entry.event === 'tunnel-refused') refused += 1;
    if (entry.event === 'tunnel-broken') {
      const { tunnel, at, account, reason } = entry;
      breaks.push({ atMs: at, openMs: at - (openedAt.get(tunnel) ?? at), account, reason });
    }
    if (entry.event === 'tunnel-broken' || entry.event === 'tunnel-closed') {
      transferredBytes += entry.sentBytes + entry.receivedBytes;
    }
  }
  return { opened, refused, broken: breaks.length, breaks, transferredBytes };
}
