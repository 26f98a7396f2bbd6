/**
 * The states of the domain's upgrade and the transitions that are allowed, as data. The row is changed only along these
 * (by compare-and-set on state and generation), whoever asks: coordinator, gate or operator.
 *
 *   planned → checked → admin-fenced → expanded → admin-upgraded
 *           → moving ⇄ paused → all-moved → soaking → finalizing ⇄ paused → done
 *   planned, checked → cancelled      admin-fenced … soaking → reversing ⇄ paused → reversed
 *
 * Invariants: paused returns only to the state it came from, or goes to reversing; from finalizing the only way is
 * forward, also after a pause; every state that is not final can be left. *Soaking* means the upgrade here: all its waves have passed, and
 * an operator is to finalize it. A single wave soaks, too (wave-states.ts).
 */
import { stateMachine } from '../../database/state-machine.ts';

/** States in which an upgrade can be paused: the values of `pausedFrom`. */
export const pausableStates = [
  'admin-fenced',
  'expanded',
  'admin-upgraded',
  'moving',
  'all-moved',
  'soaking',
  'finalizing',
  'reversing',
] as const;
export type PausableState = (typeof pausableStates)[number];

export const upgradeStates = stateMachine({
  initial: ['planned'],
  transitions: {
    planned: ['checked', 'cancelled'],
    checked: ['admin-fenced', 'cancelled'],
    'admin-fenced': ['expanded', 'paused', 'reversing'],
    expanded: ['admin-upgraded', 'paused', 'reversing'],
    'admin-upgraded': ['moving', 'paused', 'reversing'],
    moving: ['all-moved', 'paused', 'reversing'],
    'all-moved': ['soaking', 'moving', 'paused', 'reversing'],
    soaking: ['finalizing', 'moving', 'paused', 'reversing'],
    finalizing: ['done', 'paused'],
    done: [],
    /** Fewer from a known position: see {@link followers}. */
    paused: pausableStates,
    reversing: ['reversed', 'paused'],
    reversed: [],
    cancelled: [],
  },
  sets: {
    /** Another upgrade can be planned. Those that have not ended are open: there is at most one. */
    ended: ['done', 'reversed', 'cancelled'],
    /** The new instances take accounts on trial, or give them back. */
    'on-trial': ['expanded', 'admin-upgraded', 'moving', 'reversing'],
    /** The accounts are not divided into waves yet. */
    'before-waves': ['planned', 'checked', 'admin-fenced', 'expanded', 'admin-upgraded'],
    /** There are waves, and their accounts can still change. */
    'in-waves': ['moving', 'all-moved', 'soaking'],
    /** What the log has while an upgrade waits for the last decision: a pause does not end that. */
    'awaiting-decision': ['soaking', 'paused'],
    /** Accounts are moved to the new release; one that an administrator moves elsewhere is moved again. */
    onward: ['moving', 'all-moved', 'soaking', 'finalizing'],
    /** Accounts go home. */
    homeward: ['reversing'],
    /** Decided; what is left is to be done. */
    ending: ['finalizing', 'reversing'],
  },
});
export type UpgradeState = (typeof upgradeStates.states)[number];

/** The state of an upgrade, and for a paused one the state it came from. */
export type UpgradePosition =
  | { state: Exclude<UpgradeState, 'paused'>; pausedFrom: null }
  | { state: 'paused'; pausedFrom: PausableState };

/** The states that may follow. */
export function followers(position: UpgradePosition): readonly UpgradeState[] {
  if (position.state !== 'paused') return upgradeStates.transitions[position.state];
  return isReversible(position.pausedFrom) ? [position.pausedFrom, 'reversing'] : [position.pausedFrom];
}

/** Whether an upgrade that is paused in this state can be reversed instead of resumed. */
export function isReversible(pausedFrom: UpgradeState): boolean {
  return pausedFrom !== 'reversing' && pausedFrom !== 'finalizing';
}

export function canFollow(position: UpgradePosition, next: UpgradeState): boolean {
  return followers(position).includes(next);
}

/** The row is history, and another upgrade can be planned. */
export function isFinal(state: UpgradeState): boolean {
  return upgradeStates.isFinal(state);
}

export function isPausable(state: UpgradeState): state is PausableState {
  return (pausableStates as readonly UpgradeState[]).includes(state);
}

/** How an operator can still undo it: cancel before the fence, reverse until finalizing; undefined if not at all. */
export function undoTransition(position: UpgradePosition): 'cancelled' | 'reversing' | undefined {
  const next = followers(position);
  if (next.includes('cancelled')) return 'cancelled';
  if (position.state === 'paused' && !isReversible(position.pausedFrom)) return undefined;
  return next.includes('reversing') ? 'reversing' : undefined;
}

/**
 * What the coordinator waits for when the waves have passed and no account is left to move. Stored as it stands here: `progress`
 * has the shape that 1.2 gave it, without a kind of the wait.
 */
export const finalDecision = 'an operator: `bramble upgrade finalize` or `bramble upgrade reverse`';
