/**
 * Types what docs/upgrading.md says, in one shell's environment, and holds what is shown against it. `~` is a folder of its
 * own. Invariant: every wait has an end and says what for; whatever was started is ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stopEmbedded } from '../src/database/embedded/server.ts';
import { type Block, missingLine, type Typed } from './walkthrough-document.ts';

const checkout = fileURLToPath(new URL('..', import.meta.url));
/** One command; repeating one until it shows what it should. */
const limitMs = { command: 120_000, again: 300_000, end: 60_000 };

export interface Walk {
  /** What `~` is. */
  folder: string;
  /** @throws Error with the command, what was expected and what was shown */
  follow(block: Block): Promise<void>;
  /** Ends what was started, and removes the folder. */
  end(): Promise<void>;
}

export async function startWalk(say: (text: string) => void): Promise<Walk> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-walk-'));
  // Under root PostgreSQL is another user, who has to pass through.
  await chmod(folder, 0o711);
  let environment: NodeJS.ProcessEnv = { ...process.env, HOME: folder, NO_COLOR: '1' };
  for (const name of ['BRAMBLE_HOME', 'BRAMBLE_URL', 'BRAMBLE_TOKEN', 'DATABASE_URL']) delete environment[name];
  const terminals: { command: string; child: ChildProcess; output: () => string }[] = [];

  async function type(command: string): Promise<{ code: number | null; output: string }> {
    // What `export` changed is carried on to the next command, as in a terminal.
    const mark = '--environment-of-the-walk--';
    const script = `${command}\ncode=$?\nprintf '%s\\n' '${mark}'\nenv -0\nexit $code`;
    const { child, output } = run(script);
    const timer = setTimeout(() => child.kill('SIGKILL'), limitMs.command);
    const [code] = (await once(child, 'close').finally(() => clearTimeout(timer))) as [number | null];
    const [shown = '', variables] = output().split(`${mark}\n`);
    if (variables !== undefined) {
      const pairs = variables.split('\0').filter((pair) => pair.includes('='));
      environment = Object.fromEntries(
        pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
      );
    }
    return { code, output: shown };
  }

  function run(script: string, detached = false) {
    const child = spawn('bash', ['-c', script], {
      ...{ cwd: checkout, env: environment, detached },
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
      throw failure(typed, code === null ? `was not done in ${limitMs.command} ms` : `ended with ${code}`, output);
    const missing = missingLine(typed.shown, output);
    if (missing !== undefined) throw failure(typed, `does not show: ${missing}`, output);
  }

  async function again(typed: Typed): Promise<void> {
    say(`$ ${typed.command}    # until it shows ${typed.shown.map((line) => line.trim()).join(' / ')}`);
    const deadline = performance.now() + limitMs.again;
    for (;;) {
      const { output } = await type(typed.command);
      const missing = missingLine(typed.shown, output);
      if (missing === undefined) return say(output.trimEnd());
      assertTerminals(typed);
      if (performance.now() > deadline) throw failure(typed, `did not show in ${limitMs.again} ms: ${missing}`, output);
      await delay(500);
    }
  }

  function assertTerminals(typed: Typed): void {
    for (const { command, child, output } of terminals) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw failure(typed, `${command} has ended meanwhile`, output());
    }
  }

  async function end(): Promise<void> {
    for (const { child } of terminals.reverse()) await endTerminal(child);
    const home = environment['BRAMBLE_HOME'];
    if (home?.startsWith(folder)) await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
    await rm(folder, { recursive: true, force: true });
  }

  return {
    folder,
    end,
    follow: async ({ mode, typed }) => {
      for (const one of typed) {
        if (mode === 'again') await again(one);
        else if (mode === 'once') await typeOnce(one);
        else {
          say(`$ ${one.command}    # in a terminal of its own`);
          terminals.push({ command: one.command, ...run(`exec ${one.command}`, true) });
        }
      }
    },
  };
}

/** As Ctrl-C does, to all that the terminal has started; killed where that is not enough. */
async function endTerminal(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  process.kill(-child.pid, 'SIGINT');
  const ended = await Promise.race([closed.then(() => true), delay(limitMs.end, false, { ref: false })]);
  if (ended) return;
  process.kill(-child.pid, 'SIGKILL');
  await closed;
}

function failure(typed: Typed, why: string, output: string): Error {
  return new Error(`docs/upgrading.md, line ${typed.line}: \`${typed.command}\` ${why}\n${output.trimEnd()}`);
}
