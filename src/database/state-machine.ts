/**
 * A machine of states that a column `state` holds: the states, named sets of them and the transitions, as data, and the
 * conditions of SQL made from them.
 *
 * Invariant: a set is written into a statement as a literal list, never as a parameter. Only then can the planner see,
 * even in a generic plan, that a partial index covers the query.
 */
import type { Queryable, SqlFragment } from './connection.ts';

export interface StateMachine<State extends string, SetName extends string> {
  readonly states: readonly State[];
  /** The states in which a row may start. */
  readonly initial: readonly State[];
  /** What may follow each state; a state may also stay as it is. Nothing follows a final one. */
  readonly transitions: Readonly<Record<State, readonly State[]>>;
  readonly sets: Readonly<Record<SetName, readonly State[]>>;
  has(set: SetName, state: State): boolean;
  /** True for the state itself. */
  canBecome(from: State, to: State): boolean;
  isFinal(state: State): boolean;
  /** `row.state in (…)`, for statements assembled from strings; without a row's alias just `state in (…)`. */
  text(set: SetName, row?: string): string;
  /** The same as a fragment. */
  in(q: Queryable, set: SetName, row?: string): SqlFragment;
  /** `row.state not in (…)`. */
  notIn(q: Queryable, set: SetName, row?: string): SqlFragment;
  /**
   * `row.state in (…)` for states that the program chooses.
   * @throws TypeError for none, or one that is not of this machine.
   */
  among(q: Queryable, chosen: readonly State[], row?: string): SqlFragment;
}

/** Parts of SQL text: nothing that could end a literal or a name. */
const plainState = /^[a-z][a-z-]*$/;
const plainAlias = /^[a-z][a-z_]*$/;

/** @throws TypeError for a state or alias that is not plain. */
export function stateMachine<const State extends string, const SetName extends string>(definition: {
  readonly initial: readonly NoInfer<State>[];
  readonly transitions: Readonly<Record<State, readonly NoInfer<State>[]>>;
  readonly sets: Readonly<Record<SetName, readonly NoInfer<State>[]>>;
}): StateMachine<State, SetName> {
  const { initial, transitions, sets } = definition;
  const states = Object.keys(transitions) as State[];
  const odd = states.find((state) => !plainState.test(state));
  if (odd !== undefined) throw new TypeError(`a state named ${odd}`);
  const condition = (operator: string, listed: readonly State[], row?: string): string => {
    if (row !== undefined && !plainAlias.test(row)) throw new TypeError(`a row named ${row}`);
    const list = listed.map((state) => `'${state}'`).join(', ');
    return `${row === undefined ? '' : `${row}.`}state ${operator} (${list})`;
  };
  return {
    ...{ states, initial, transitions, sets },
    has: (set, state) => sets[set].includes(state),
    canBecome: (from, to) => from === to || transitions[from].includes(to),
    isFinal: (state) => transitions[state].length === 0,
    text: (set, row) => condition('in', sets[set], row),
    in: (q, set, row) => q.unsafe(condition('in', sets[set], row)),
    notIn: (q, set, row) => q.unsafe(condition('not in', sets[set], row)),
    among: (q, chosen, row) => {
      if (chosen.length === 0 || !chosen.every((state) => states.includes(state))) {
        throw new TypeError(`no states of this machine: ${chosen.join(', ')}`);
      }
      return q.unsafe(condition('in', chosen, row));
    },
  };
}
