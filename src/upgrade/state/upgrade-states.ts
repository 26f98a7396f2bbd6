/**
 * The states of the domain's upgrade and the transitions that are allowed, as data. The row is changed only along these
 * (by compare-and-set on state and generation), whoever asks: coordinator, gate or operator.
 *
 *   planned → checked → admin-fenced → expanded → admin-upgraded
 *           → moving ⇄ paused → all-moved → soaking → finalizing → done
 *   planned, checked → cancelled      admin-fenced … soaking → reversing ⇄ paused → reversed
 *
 * Invariants: paused goes back only to where it came from, or to reversing; from finalizing the only way is forward; from
 * every state that is not final something can go on. *Soaking* is the upgrade's here: all its waves have passed, and an
 * operator is to finalize it. A single wave soaks, too (see state/wave-states.ts).
 */
import { stateMachine } from '../../database/state-machine.ts';

/** States from which an upgrade can be paused, and so what `pausedFrom` may hold. */
export const pausableStates = [
  'admin-fenced',
  'expanded',
  'admin-upgraded',
  'moving',
  'all-moved',
  'soaking',
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
    finalizing: ['done'],
    done: [],
    /** From a known position fewer: see {@link followers}. */
    paused: pausableStates,
    reversing: ['reversed', 'paused'],
    reversed: [],
    cancelled: [],
  },
  sets: {
    /** History: another upgrade can be planned. What is not ended is open, and there is one of these at most. */
    ended: ['done', 'reversed', 'cancelled'],
    /** The instances that were added take accounts on trial, or give them back. */
    'on-trial': ['expanded', 'admin-upgraded', 'moving', 'reversing'],
    /** The accounts have not been divided into waves. */
    'before-waves': ['planned', 'checked', 'admin-fenced', 'expanded', 'admin-upgraded'],
    /** There are waves, and who is in them can still change. */
    'in-waves': ['moving', 'all-moved', 'soaking'],
    /** Accounts are moved onward; one that is moved elsewhere is moved again. */
    onward: ['moving', 'all-moved', 'soaking', 'finalizing'],
  },
});
export type UpgradeState = (typeof upgradeStates.states)[number];

/** Where an upgrade stands: the state, and for a paused one where it came from. */
export type UpgradePosition =
  | { state: Exclude<UpgradeState, 'paused'>; pausedFrom: null }
  | { state: 'paused'; pausedFrom: PausableState };

/** The states that can follow. */
export function followers(position: UpgradePosition): readonly UpgradeState[] {
  if (position.state !== 'paused') return upgradeStates.transitions[position.state];
  return position.pausedFrom === 'reversing' ? ['reversing'] : [position.pausedFrom, 'reversing'];
}

export function canFollow(position: UpgradePosition, next: UpgradeState): boolean {
  return followers(position).includes(next);
}

/** Final: the row is history and another upgrade can be planned. */
export function isFinal(state: UpgradeState): boolean {
  return upgradeStates.isFinal(state);
}

export function isPausable(state: UpgradeState): state is PausableState {
  return (pausableStates as readonly UpgradeState[]).includes(state);
}

/** Whether an operator can still have it undone: cancelled before the fence, reversed until finalizing. */
export function undoTransition(position: UpgradePosition): 'cancelled' | 'reversing' | undefined {
  const next = followers(position);
  if (next.includes('cancelled')) return 'cancelled';
  if (position.state === 'paused' && position.pausedFrom === 'reversing') return undefined;
  return next.includes('reversing') ? 'reversing' : undefined;
}

/** What the coordinator waits for when the waves have passed and no account is left to move. */
export const finalDecision = 'an operator: `bramble upgrade finalize` or `bramble upgrade reverse`';
