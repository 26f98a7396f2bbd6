/**
 * Types what a document says, in one shell's environment, and holds what is shown against it. `~` is a folder of its
 * own. Invariant: every wait has an end and says what for; whatever was started is ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, glob, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stopEmbedded } from '../src/database/embedded/server.ts';
import { exitWithin, hasEnded } from '../src/testing/process.ts';
import { type Block, missingLine, type Typed } from './walkthrough-document.ts';

const checkout = fileURLToPath(new URL('..', import.meta.url));
/** A terminal, after Ctrl-C. */
const endMs = 60_000;

export interface WalkLimits {
  /** One command. */
  readonly commandMs: number;
  /** Repeating one until it shows what it should. */
  readonly againMs: number;
}

export interface WalkOptions {
  limits?: WalkLimits;
  /** Named with the line where something differs. */
  document?: string;
  /** Told what a command that was carried out did not show; the walk goes on unless this throws, which is the default. */
  differs?: (difference: Error) => void;
}

const usualLimits: WalkLimits = { commandMs: 120_000, againMs: 300_000 };

export interface Walk {
  /** What `~` is. */
  folder: string;
  /** @throws Error with the command, what was expected and what was shown */
  follow(block: Block): Promise<void>;
  /** Ends what was started, and removes the folder. */
  end(): Promise<void>;
}

export async function startWalk(
  say: (text: string) => void,
  { limits = usualLimits, document = '', differs = fail }: WalkOptions = {},
): Promise<Walk> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-walk-'));
  // Under root PostgreSQL is another user, who has to pass through.
  await chmod(folder, 0o711);
  let environment: NodeJS.ProcessEnv = { ...process.env, HOME: folder, NO_COLOR: '1' };
  for (const name of ['BRAMBLE_HOME', 'BRAMBLE_URL', 'BRAMBLE_TOKEN', 'DATABASE_URL']) delete environment[name];
  const failure = (typed: Typed, why: string, output: string) =>
    new Error(`${document} line ${typed.line}: \`${typed.command}\` ${why}\n${output.trimEnd()}`.trim());
  const terminals: { command: string; child: ChildProcess; output: () => string }[] = [];

  let typing: ChildProcess | undefined;

  async function type(command: string): Promise<{ code: number | null; output: string }> {
    // What `export` changed is carried on to the next command, as in a terminal.
    const mark = '--environment-of-the-walk--';
    const script = `${command}\ncode=$?\nprintf '%s\\n' '${mark}'\nenv -0\nexit $code`;
    const { child, output } = run(script);
    typing = child;
    const code = await exitWithin(child, limits.commandMs, command).catch(() => {
      // The shell's end alone leaves what it has started.
      signalAll(child, 'SIGKILL');
      return null;
    });
    const [shown = '', variables] = output().split(`${mark}\n`);
    if (variables !== undefined) {
      const pairs = variables.split('\0').filter((pair) => pair.includes('='));
      environment = Object.fromEntries(
        pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
      );
    }
    return { code, output: shown };
  }

  /** In a process group of its own, so that all of it can be ended. */
  function run(script: string) {
    const child = spawn('bash', ['-c', script], {
      ...{ cwd: checkout, env: environment, detached: true },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const chunks: Buffer[] = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    return { child, output: () => Buffer.concat(chunks).toString('utf8') };
  }

  async function typeOnce(typed: Typed): Promise<void> {
    say(`$ ${typed.command}`);
    const { code, output } = await type(typed.command);
    if (output !== '') say(output.trimEnd());
    if (code !== 0)
      throw failure(typed, code === null ? `was not done in ${limits.commandMs} ms` : `ended with ${code}`, output);
    const missing = missingLine(typed.shown, output);
    if (missing !== undefined) differs(failure(typed, `does not show: ${missing}`, output));
  }

  async function again(typed: Typed): Promise<void> {
    say(`$ ${typed.command}    # until it shows ${typed.shown.map((line) => line.trim()).join(' / ')}`);
    const deadline = performance.now() + limits.againMs;
    for (;;) {
      const { output } = await type(typed.command);
      const missing = missingLine(typed.shown, output);
      if (missing === undefined) return say(output.trimEnd());
      assertTerminals(typed);
      if (performance.now() > deadline)
        throw failure(typed, `did not show in ${limits.againMs} ms: ${missing}`, output);
      await delay(500);
    }
  }

  function assertTerminals(typed: Typed): void {
    for (const { command, child, output } of terminals) {
      if (hasEnded(child)) throw failure(typed, `${command} has ended meanwhile`, output());
    }
  }

  async function endOf(typed: Typed, byItself: boolean): Promise<void> {
    say(byItself ? `# the terminal of ${typed.command} ends` : `^C    # in the terminal of ${typed.command}`);
    const index = terminals.findLastIndex(({ command }) => command === typed.command);
    const [terminal] = index < 0 ? [] : terminals.splice(index, 1);
    if (terminal === undefined) throw failure(typed, 'goes on in no terminal', '');
    const { child, command } = terminal;
    const code = byItself ? await exitWithin(child, endMs, command).finally(() => endTerminal(child)) : undefined;
    if (byItself && code !== 0) throw failure(typed, `ended with ${code}`, terminal.output());
    if (!byItself) await endTerminal(child);
    say(terminal.output().trimEnd());
    const missing = missingLine(typed.shown, terminal.output());
    if (missing !== undefined) differs(failure(typed, `has not shown: ${missing}`, terminal.output()));
  }

  async function end(): Promise<void> {
    if (typing !== undefined) await endTerminal(typing);
    for (const { child } of terminals.reverse()) await endTerminal(child);
    // A server of its own outlives the terminal: those of homes, and one that belongs to none.
    for await (const cluster of glob('*/*/postgres', { cwd: folder })) {
      await stopEmbedded({ folder: join(folder, cluster), mode: 'immediate' });
    }
    await rm(folder, { recursive: true, force: true });
  }

  return {
    folder,
    end,
    follow: async ({ mode, typed }) => {
      for (const one of typed) {
        if (mode === 'again') await again(one);
        else if (mode === 'once') await typeOnce(one);
        else if (mode === 'ctrl-c' || mode === 'ends') await endOf(one, mode === 'ends');
        else {
          say(`$ ${one.command}    # in a terminal of its own`);
          terminals.push({ command: one.command, ...run(one.command) });
        }
      }
    },
  };
}

/** As Ctrl-C does, to all that the terminal has started; killed where that is not enough. */
async function endTerminal(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  signalAll(child, 'SIGINT');
  await exitWithin(child, endMs, 'a terminal').catch(() => signalAll(child, 'SIGKILL'));
}

/** The shell and all that it has started; nothing where they have ended. */
function signalAll(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function fail(difference: Error): never {
  throw difference;
}
