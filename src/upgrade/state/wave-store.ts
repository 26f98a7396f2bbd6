/** Waves of an upgrade: their states and what gates say of them. */
import type { WaveGate } from '../../api/upgrade-plan.ts';
import type { UpgradeId } from '../../base/ids.ts';
import type { Queryable, SqlFragment, Transaction } from '../../database/connection.ts';
import type { Upgrade } from './upgrade-store.ts';
import { type WaveState, waveStates } from './wave-states.ts';

/** A gate's answer about a wave. */
export interface WaveVerdict {
  readonly answer: NonNullable<WaveGate['answer']>;
  readonly reasons: readonly string[];
}

export interface Wave {
  number: number;
  name: string;
  state: WaveState;
  gate: WaveGate | null;
  startedAt: Date | null;
  soakingAt: Date | null;
  finishedAt: Date | null;
  /** When somebody whom the upgrade cannot go on without was last seen to be away. */
  absentUntil: Date | null;
  /** The database's time, and by it the seconds since its soak began, or since nobody is away. */
  readAt: Date;
  soakingSeconds: number;
}

export async function insertWaves(
  tx: Transaction,
  id: UpgradeId,
  waves: readonly { number: number; name: string }[],
): Promise<void> {
  await tx`
    insert into upgrade_wave (upgrade_id, number, name)
    select ${id}, number, name
      from unnest(${waves.map((wave) => wave.number)}::int[], ${waves.map((wave) => wave.name)}::text[]) as w(number, name)
    on conflict do nothing`;
}

export async function listWaves(q: Queryable, id: UpgradeId): Promise<Wave[]> {
  return await q<Wave[]>`
    select w.number, w.name, w.state, w.gate, w.started_at as "startedAt", w.soaking_at as "soakingAt",
           w.finished_at as "finishedAt", clock_timestamp() as "readAt", u.absent_until as "absentUntil",
           case when w.soaking_at is null then 0
                else extract(epoch from clock_timestamp() - greatest(w.soaking_at, u.absent_until)) end::float8 as "soakingSeconds"
      from upgrade_wave w
     cross join (select (progress->>'absentUntil')::timestamptz as absent_until from upgrade where id = ${id}) u
     where w.upgrade_id = ${id} order by w.number`;
}

/** Since when its deadlines are counted: since its start, or since the upgrade was resumed, or since nobody is away. */
export function runningSince({
  startedAt,
  gate,
  absentUntil,
}: Pick<Wave, 'startedAt' | 'gate' | 'absentUntil'>): Date | null {
  if (startedAt === null) return null;
  const resumedMs = gate?.windowFrom === undefined ? 0 : Date.parse(gate.windowFrom);
  return new Date(Math.max(startedAt.getTime(), resumedMs, absentUntil?.getTime() ?? 0));
}

/** Since when its soak is counted. */
export function soakingSince({ soakingAt, absentUntil }: Pick<Wave, 'soakingAt' | 'absentUntil'>): Date | null {
  if (soakingAt === null || absentUntil === null) return soakingAt;
  return new Date(Math.max(soakingAt.getTime(), absentUntil.getTime()));
}

/** A wave is in a state that a step does not expect. A retry does not help, so the upgrade pauses. */
export class WaveOutOfPlace extends Error {}

/**
 * Sets the wave's state and the time at which it came there.
 * @throws WaveOutOfPlace for a transition that {@link waveStates} does not have.
 */
export async function setWaveState(tx: Transaction, id: UpgradeId, number: number, state: WaveState): Promise<void> {
  const from = waveStates.states.filter((before) => waveStates.canBecome(before, state));
  const { count } = await tx`
    update upgrade_wave
       set state = ${state},
           started_at = case when ${state} = 'running' then coalesce(started_at, clock_timestamp()) else started_at end,
           soaking_at = case when ${state} = 'soaking' then clock_timestamp() else soaking_at end,
           finished_at = case when ${state} = 'passed' then clock_timestamp() else null end
     where upgrade_id = ${id} and number = ${number} and ${waveStates.among(tx, from)}`;
  if (count === 0) throw new WaveOutOfPlace(`wave ${number} cannot become ${state} from the state that it is in`);
}

/** Stores the gate's answer; the beginning of its window, and who overrode it, stay. */
export async function setWaveGate(tx: Transaction, id: UpgradeId, number: number, answer: WaveVerdict): Promise<void> {
  await tx`
    update upgrade_wave set gate = ${gateWith(tx, answer)} where upgrade_id = ${id} and number = ${number}`;
}

/**
 * The same if the wave is observed, the upgrade has not changed since it was read, and the answer is another one or was
 * stored more than `afterSeconds` ago.
 */
export async function refreshWaveGate(
  q: Queryable,
  read: Pick<Upgrade, 'id' | 'generation'>,
  number: number,
  answer: WaveVerdict,
  afterSeconds: number,
): Promise<void> {
  await q`
    update upgrade_wave
       set gate = ${gateWith(q, answer)}
     where upgrade_id = ${read.id} and number = ${number} and state = 'soaking'
       and exists (select 1 from upgrade where id = ${read.id} and generation = ${read.generation})
       and (gate->>'answer' is distinct from ${answer.answer}
            or (gate->>'at')::timestamptz < clock_timestamp() - make_interval(secs => ${afterSeconds}))`;
}

/** The value of `upgrade_wave.gate` with a new answer, as of now. */
function gateWith(q: Queryable, answer: WaveVerdict): SqlFragment {
  return q`
    ${q.json({ ...answer } as never)} || jsonb_build_object('at', clock_timestamp())
      || jsonb_strip_nulls(jsonb_build_object('windowFrom', gate->'windowFrom', 'acceptedBy', gate->'acceptedBy'))`;
}

/**
 * After a pause: what happened before no longer counts, nor does what a gate said about it. An open wave is observed
 * anew: a failed one runs again, a soaking one restarts its soak. Once all have passed, the gate judges them together,
 * so the window of each begins anew.
 */
export async function reopenWaves(tx: Transaction, id: UpgradeId): Promise<void> {
  await tx`
    update upgrade_wave w
       set state = case when state = 'failed' then 'running' else state end,
           soaking_at = case when state = 'soaking' then clock_timestamp() else soaking_at end,
           gate = case when state = 'passed' or gate ? 'acceptedBy' then coalesce(gate, '{}') else '{}' end
                  || jsonb_build_object('windowFrom', clock_timestamp())
     where upgrade_id = ${id}
       and (${waveStates.in(tx, 'begun')}
            or not exists (select 1 from upgrade_wave o where o.upgrade_id = w.upgrade_id and o.state <> 'passed'))`;
}

/** An operator overrides the wave's gate: from now on the wave moves and passes without being judged. */
export async function acceptWave(tx: Transaction, id: UpgradeId, number: number, by: string): Promise<void> {
  await tx`
    update upgrade_wave set gate = coalesce(gate, '{}') || jsonb_build_object('acceptedBy', ${by}::text)
     where upgrade_id = ${id} and number = ${number}`;
}

/** Who overrode the wave's gate. */
export function acceptedBy(wave: Pick<Wave, 'gate'>): string | undefined {
  return wave.gate?.acceptedBy;
}

/** The wave passes by an operator's decision; what happened so far counts for no gate that judges all waves. */
export async function passAcceptedWave(tx: Transaction, id: UpgradeId, number: number): Promise<void> {
  await setWaveState(tx, id, number, 'passed');
  await tx`
    update upgrade_wave set gate = coalesce(gate, '{}') || jsonb_build_object('windowFrom', clock_timestamp())
     where upgrade_id = ${id} and number = ${number}`;
}
