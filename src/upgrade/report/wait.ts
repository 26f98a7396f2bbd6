/** One thing that an open upgrade waits for, and the facts that say so. */
import { durationText } from '../../base/time-text.ts';
import type { SilentDevices, WaitingHold } from '../../deliveries/delivery-waits.ts';
import type { HostSupervisor } from '../../registry/supervisors.ts';
import type { PlacedInstance } from '../components/instances-behind.ts';
import type { UpgradeState } from '../state/upgrade-states.ts';
import type { PauseCause } from '../state/upgrade-store.ts';
import type { WaveState } from '../state/wave-states.ts';
import type { OutOfReachRule } from '../waves/out-of-reach-rule.ts';

export type WaitKind =
  | 'operator'
  | 'coordinator'
  | 'step'
  | 'supervisor'
  | 'old-supervisor'
  | 'process'
  | 'session'
  | 'wave'
  | 'soak'
  | 'gate'
  | 'window'
  | 'budget'
  | 'silent-devices'
  | 'out-of-reach'
  | 'accounts';

export interface Wait {
  readonly what: WaitKind;
  readonly why: string;
  readonly since: Date | null;
  /** Processes, sessions, accounts or devices, by name; the first twenty. */
  readonly who: readonly string[];
  /** When it ends by itself at the latest, where that is known; for a soak at the earliest, as an undecided gate prolongs it. */
  readonly until: Date | null;
  /** What ends it, or shows more. */
  readonly command: string | null;
}

/** A database session that may stand in the way of the fence or of a migration. */
export interface BlockingSession {
  readonly pid: number;
  readonly applicationName: string;
  /** Where it comes from; null where this role may not see it, or on a local socket. */
  readonly address: string | null;
  readonly since: Date | null;
  /** Tables that it holds; none for the administration lock. */
  readonly tables: readonly string[];
}

export interface WaitFacts {
  readonly now: Date;
  readonly state: UpgradeState;
  readonly toRelease: string;
  readonly started: boolean;
  /** Checks that stopped a start: warnings can be overridden, errors cannot. */
  readonly stoppedBy: readonly { readonly name: string; readonly result: string }[];
  readonly pauseReason: string | null;
  readonly pausedFrom: UpgradeState | null;
  readonly pauseCause: PauseCause;
  /** The message of the coordinator's last step. */
  readonly step: string | null;
  /** That step waits for nothing but an operator who finalizes or reverses. */
  readonly waitsForDecision: boolean;
  /** Since when. */
  readonly decisionSince: Date | null;
  /** Features that finalizing unlocks. */
  readonly lockedFeatures: readonly string[];
  readonly coordinator: { readonly atWork: boolean; readonly holder: string | null };
  readonly updatedAt: Date;
  readonly soakSeconds: number;
  readonly waveDeadlineSeconds: number;
  readonly windows: readonly string[];
  readonly outOfReachRule: OutOfReachRule;
  readonly waves: readonly WaveFacts[];
  /** Instances are replaced, and nobody moves: the step says which one is waited for. */
  readonly inPlace: boolean;
  /** Once the waves have passed: who is at an instance of an earlier release all the same. */
  readonly behind: {
    readonly instances: readonly PlacedInstance[];
    /** The first of them. */
    readonly accounts: readonly AccountBehind[];
  };
  /** Desired processes that are not running as desired, by host. */
  readonly missing: readonly { readonly name: string; readonly host: string; readonly release: string }[];
  /** Hosts with desired processes and no supervisor session in the database. */
  readonly hostsWithoutSupervisor: readonly string[];
  /** Supervisors that finalizing waits for once nothing else of an earlier release is left. */
  readonly supervisorsBehind: readonly Pick<HostSupervisor, 'host' | 'release' | 'atWork'>[];
  readonly sessions: readonly BlockingSession[];
  readonly holds: readonly WaitingHold[];
  readonly silent: SilentDevices;
}

export interface AccountBehind {
  readonly account: string;
  readonly instance: string;
  /** Its open move: to be done, or done with its devices still to answer. */
  readonly move: 'none' | 'queued' | 'delivering';
  readonly batch: string | null;
}

export interface WaveFacts {
  readonly number: number;
  readonly name: string;
  readonly state: WaveState;
  readonly startedAt: Date | null;
  /** Since when its deadlines are counted: since its start, or since the upgrade was resumed. */
  readonly runningSince: Date | null;
  readonly soakingAt: Date | null;
  readonly accounts: number;
  readonly settled: number;
  readonly outOfReach: number;
  /** Accounts whose moves or deliveries are open. */
  readonly open: readonly string[];
  /** What the gate lacks, as it said some seconds ago in the present window. */
  readonly gateLacks: readonly string[];
  /** Its accounts, if none of them has a device. */
  readonly withoutDevices: readonly string[];
  /** Whether an operator answers for it: nobody judges or observes it any more. */
  readonly accepted: boolean;
}

export const maxNamesShown = 20;

export function wait(what: WaitKind, why: string, more: Partial<Wait> = {}): Wait {
  return { what, why, since: null, until: null, command: null, ...more, who: (more.who ?? []).slice(0, maxNamesShown) };
}

/** `: 6 min left` */
export function leftText(now: Date, until: Date | null): string {
  if (until === null) return '';
  return `: ${durationText(Math.max(0, until.getTime() - now.getTime()) / 1000)} left`;
}

export function later(at: Date | null, seconds: number): Date | null {
  return at === null ? null : new Date(at.getTime() + seconds * 1000);
}
