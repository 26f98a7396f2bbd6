/** A single round of moving, for tests that look at what each round does: what `runMoves` does in turns, without its pauses. */
import { type MoveRunnerOptions, moveReserved, settle } from './move-runner.ts';

/** Settles, then reserves and moves as many as the drain window allows. Quiet if neither found anything to do. */
export async function runMoveRound(options: MoveRunnerOptions) {
  const { settled } = await settle(options, 'all');
  const round = await moveReserved(options);
  return { ...round, settled, quiet: round.quiet && settled === 0 };
}
