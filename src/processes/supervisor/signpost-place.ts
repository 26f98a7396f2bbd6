/**
 * When this host needs a signpost: while an upgrade is steered from another host, an administration service belongs here, and
 * neither that nor a coordinator is to run. Whoever comes to the console's address would wait for nobody.
 */
import type { DesiredProcess } from './desired-state.ts';

export const signpostKind = 'signpost';
const answering: readonly string[] = ['administration', 'coordinator'];

/** Nobody else gets the console's socket: whoever has it hears passwords. */
export function answersConsole(kind: string): boolean {
  return kind === signpostKind || answering.includes(kind);
}

/**
 * The processes, with the signpost where it is needed.
 * @param steeredFrom the other host that an upgrade's coordinator runs on, if there is one
 * @param release the supervisor's own, which has the program
 */
export function withSignpost(
  processes: readonly DesiredProcess[],
  steeredFrom: string | null,
  { host, release }: { host: string; release: string },
): readonly DesiredProcess[] {
  const belongs = processes.some(({ kind }) => kind === 'administration');
  const answers = processes.some(({ kind, state }) => state === 'running' && answering.includes(kind));
  const isTaken = processes.some(({ name }) => name === signpostKind);
  if (steeredFrom === null || !belongs || answers || isTaken) return processes;
  const signpost = { name: signpostKind, kind: signpostKind, host, release, state: 'running' } as const;
  return [...processes, { ...signpost, settings: { steeredFrom } }];
}
