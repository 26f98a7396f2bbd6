/**
 * A fleet of simulated devices in its own process, controlled by JSON lines. Every wait for an answer or for its exit has a
 * time limit: it may be dead, or hang.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { inTime } from '../../src/testing/condition.ts';
import { exitWithin, hasEnded } from '../../src/testing/process.ts';
import { workingTreeProgram } from './archives.ts';
import type { RunningDomain } from './domain.ts';

export interface FleetOptions {
  devices: number;
  accounts: number;
  seed: string;
  /** Mean time between a device's own contacts, such as `2s`. */
  interval: string;
  journal: string;
  args?: string[];
}

export interface RunningFleet {
  process: ChildProcess;
  journal: string;
  /** Sends one command and waits for its answer. @throws Error if it failed or timed out. */
  tell<Answer = Record<string, unknown>>(command: { do: string } & Record<string, unknown>): Promise<Answer>;
  stop(): Promise<void>;
}

/** Enrolling on a busy machine takes longest; a tunnel or a probe of every account comes next. */
const limitMs = { ready: 240_000, answer: 120_000, stop: 60_000 };

/** Starts the fleet and waits until its devices are activated. */
export async function startFleet(domain: RunningDomain, options: FleetOptions): Promise<RunningFleet> {
  const args = ['simulate', '--control', '--devices', String(options.devices), '--accounts', String(options.accounts)];
  args.push(
    '--seed',
    options.seed,
    '--interval',
    options.interval,
    '--journal',
    options.journal,
    ...(options.args ?? []),
  );
  const child = spawn(process.execPath, [await workingTreeProgram(), ...args], {
    env: { ...process.env, BRAMBLE_HOME: domain.home },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-4000);
  });
  const lines = createInterface({ input: child.stdout });
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  const early: string[] = [];
  lines.on('line', (line) => {
    const next = waiting.shift();
    if (next) next.resolve(line);
    else early.push(line);
  });
  const ended = () => new Error(`the fleet has ended with ${child.exitCode ?? child.signalCode}: ${errors}`);
  // It may have exited in the middle of an answer, or before reading the command.
  child.stdin.on('error', () => undefined);
  child.once('exit', () => {
    for (const entry of waiting.splice(0)) entry.reject(ended());
  });
  const nextLine = () => {
    const line = early.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (hasEnded(child)) return Promise.reject(ended());
    return new Promise<string>((resolve, reject) => waiting.push({ resolve, reject }));
  };
  try {
    const line = await inTime('the fleet is ready', limitMs.ready, nextLine());
    const ready = JSON.parse(line) as { event: string };
    if (ready.event !== 'ready') throw new Error(`the fleet did not become ready: ${line} ${errors}`);
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  return {
    process: child,
    journal: options.journal,
    async tell<Answer>(command: { do: string } & Record<string, unknown>) {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const line = await inTime(`the fleet has answered “${command.do}”`, limitMs.answer, nextLine());
      const answer = JSON.parse(line) as { done: boolean } & Answer;
      if (!answer.done) throw new Error(`the fleet did not ${command.do}: ${JSON.stringify(answer)}`);
      return answer;
    },
    async stop() {
      if (!hasEnded(child)) child.stdin.end(`${JSON.stringify({ do: 'stop' })}\n`);
      await exitWithin(child, limitMs.stop, 'the fleet');
    },
  };
}
