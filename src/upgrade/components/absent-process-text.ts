/** Messages about a process that does not start with the desired release: pure text, with what to do. */
import type { DesiredProcess } from '../../registry/desired-processes.ts';

export function overdueText(
  { name, host, release }: Pick<DesiredProcess, 'name' | 'host' | 'release'>,
  seconds: number,
): string {
  return (
    `${name} of ${release} is not running on ${host} after ${seconds} s; its predecessor keeps serving as long as ` +
    `it can. See \`bramble status\` and ${name}’s log there (BRAMBLE_HOME/logs), and whether ${release} is ` +
    'installed there (`bramble release install`)'
  );
}

/** For a reversal that continued without them. */
export function notReturnedText(names: readonly string[], release: { from: string; to: string }): string {
  return (
    `${names.join(', ')} ${names.length === 1 ? 'has' : 'have'} not returned to ${release.from}, and may still run ` +
    `${release.to}: the supervisor keeps trying. See \`bramble status\`, the log there (BRAMBLE_HOME/logs), and ` +
    `whether ${release.from} is installed there (\`bramble release install\`)`
  );
}
