/**
 * Stores a gate's answer while its wave is observed, for `upgrade status`. The figures differ at every evaluation, so the row
 * is written when the answer changes, and otherwise at most every {@link rewrittenAfterSeconds}.
 */
import type { Queryable } from '../../database/connection.ts';
import type { GateAnswer } from '../gates/gate.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { gateWith, type Wave } from '../state/wave-store.ts';

const rewrittenAfterSeconds = 10;

/** Leaves a wave alone that is not observed any more, and an upgrade that went on since it was read. */
export async function recordGateAnswer(
  q: Queryable,
  read: Pick<Upgrade, 'id' | 'generation'>,
  wave: Pick<Wave, 'number' | 'gate'>,
  answer: GateAnswer,
): Promise<void> {
  if (wave.gate?.['answer'] === answer.answer && isSame(wave.gate['reasons'], answer.reasons)) return;
  await q`
    update upgrade_wave
       set gate = ${gateWith(q, answer)}
     where upgrade_id = ${read.id} and number = ${wave.number} and state = 'soaking'
       and exists (select 1 from upgrade where id = ${read.id} and generation = ${read.generation})
       and (gate->>'answer' is distinct from ${answer.answer}
            or (gate->>'at')::timestamptz < clock_timestamp() - make_interval(secs => ${rewrittenAfterSeconds}))`;
}

function isSame(one: unknown, other: readonly string[]): boolean {
  return Array.isArray(one) && one.length === other.length && one.every((reason, index) => reason === other[index]);
}
