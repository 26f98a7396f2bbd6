/**
 * Stores a gate's answer while its wave is observed, for `upgrade status`. The figures differ at every evaluation, so the row
 * is written when the answer changes, and otherwise at most every {@link rewrittenAfterSeconds}.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Queryable } from '../../database/connection.ts';
import type { GateAnswer } from '../gates/gate.ts';
import type { Upgrade } from '../state/upgrade-store.ts';
import { refreshWaveGate, type Wave } from '../state/wave-store.ts';

const rewrittenAfterSeconds = 10;

/** Leaves a wave alone that is not observed any more, and an upgrade that went on since it was read. */
export async function recordGateAnswer(
  q: Queryable,
  read: Pick<Upgrade, 'id' | 'generation'>,
  wave: Pick<Wave, 'number' | 'gate'>,
  answer: GateAnswer,
): Promise<void> {
  if (wave.gate?.answer === answer.answer && isDeepStrictEqual(wave.gate.reasons, answer.reasons)) return;
  await refreshWaveGate(q, read, wave.number, answer, rewrittenAfterSeconds);
}
