/**
 * A network of its own for a further host: a namespace with an address, joined to this computer by a cable (a veth pair) that can be
 * cut in one direction or both, made slow or lossy. Needs root and iproute2.
 *
 * Invariant: `remove` leaves nothing behind, whatever was done; with the namespace, its cable and disturbances go.
 */
import { execFile, execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Seen from this computer: `to` the host, `from` it. */
export type Direction = 'to' | 'from';

export interface HostNetwork {
  /** The addresses of this computer and of the host. */
  readonly here: string;
  readonly there: string;
  /** Before a program and its arguments: runs it there. */
  readonly within: readonly string[];
  /** What is sent in these directions disappears in silence. */
  cut(...directions: Direction[]): Promise<void>;
  /** The host's end of the cable is pulled out: both see it. */
  unplug(): Promise<void>;
  /** So many kbit/s each way. Where the queue is short, whatever comes too fast is lost. */
  hamper(rateKbit: number, queueBytes: number): Promise<void>;
  /** Packets that were lost in both directions since it was last hampered. */
  lost(): Promise<number>;
  /** Nothing is in the way any more. */
  mend(): Promise<void>;
  remove(): Promise<void>;
}

/** Why there can be none here; false where there can. */
export function withoutNetworks(): string | false {
  if (process.getuid?.() !== 0) return 'needs root, for network namespaces';
  const probe = `bramble-probe-${process.pid}`;
  try {
    execFileSync('ip', ['netns', 'add', probe], { stdio: 'pipe' });
    execFileSync('ip', [
      'netns',
      'exec',
      probe,
      'tc',
      'qdisc',
      'replace',
      'dev',
      'lo',
      'root',
      'tbf',
      ...limit(1000, 9000),
    ]);
    return false;
  } catch (error) {
    return `needs network namespaces and iproute2: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`;
  } finally {
    try {
      execFileSync('ip', ['netns', 'delete', probe], { stdio: 'pipe' });
    } catch {
      // There is none.
    }
  }
}

export async function openHostNetwork(): Promise<HostNetwork> {
  const name = `bramble-${process.pid}`;
  // At most 15 characters.
  const [near, far] = [`br${process.pid}`, 'uplink'];
  // Of the range for networks that are tested (RFC 2544), a block that nobody else here has.
  const block = `198.${18 + randomInt(2)}.${randomInt(256)}`;
  const [here, there] = [`${block}.1`, `${block}.2`];
  const inside = (...command: string[]) => run('ip', ['netns', 'exec', name, ...command]);
  /** At the end that sends in this direction. */
  const queue = (direction: Direction, verb: string, ...rest: string[]) => {
    const command = ['qdisc', verb, 'dev', direction === 'to' ? near : far, 'root', ...rest];
    return direction === 'to' ? run('tc', command) : inside('tc', ...command);
  };
  const remove = async () => {
    await run('ip', ['link', 'delete', near]).catch(() => undefined);
    await run('ip', ['netns', 'delete', name]).catch(() => undefined);
  };
  try {
    await run('ip', ['netns', 'add', name]);
    await run('ip', ['link', 'add', near, 'type', 'veth', 'peer', 'name', far, 'netns', name]);
    await run('ip', ['address', 'add', `${here}/30`, 'dev', near]);
    await run('ip', ['link', 'set', near, 'up']);
    await inside('ip', 'address', 'add', `${there}/30`, 'dev', far);
    await inside('ip', 'link', 'set', far, 'up');
    await inside('ip', 'link', 'set', 'lo', 'up');
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    here,
    there,
    within: ['ip', 'netns', 'exec', name],
    async cut(...directions) {
      for (const direction of directions) await queue(direction, 'replace', 'blackhole');
    },
    async unplug() {
      await inside('ip', 'link', 'set', far, 'down');
    },
    async hamper(rateKbit, queueBytes) {
      for (const direction of both) await queue(direction, 'replace', 'tbf', ...limit(rateKbit, queueBytes));
    },
    async lost() {
      const shown = [
        await run('tc', ['-s', 'qdisc', 'show', 'dev', near]),
        await inside('tc', '-s', 'qdisc', 'show', 'dev', far),
      ];
      return shown.reduce((sum, { stdout }) => sum + Number(/dropped (\d+)/.exec(stdout)?.[1]), 0);
    },
    async mend() {
      await inside('ip', 'link', 'set', far, 'up');
      // Where none was set, there is none to delete.
      for (const direction of both) await queue(direction, 'delete').catch(() => undefined);
    },
    remove,
  };
}

const both: readonly Direction[] = ['to', 'from'];

function limit(rateKbit: number, queueBytes: number): string[] {
  return ['rate', `${rateKbit}kbit`, 'burst', '4kb', 'limit', `${queueBytes}b`];
}
