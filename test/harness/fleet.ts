/** A fleet of simulated devices as a process of its own, directed by JSON lines. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { checkout } from './archives.ts';
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
  /** Sends one command and waits for its answer. @throws Error when it was not done. */
  tell<Answer = Record<string, unknown>>(command: { do: string } & Record<string, unknown>): Promise<Answer>;
  stop(): Promise<void>;
}

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
  const child = spawn(process.execPath, [join(checkout, 'src/cli/main.ts'), ...args], {
    env: { ...process.env, BRAMBLE_HOME: domain.home },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString('utf8')).slice(-4000);
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];
  const early: string[] = [];
  lines.on('line', (line) => {
    const next = waiting.shift();
    if (next) next.resolve(line);
    else early.push(line);
  });
  child.once('exit', (code) => {
    for (const entry of waiting.splice(0)) entry.reject(new Error(`the fleet ended with ${code}: ${errors}`));
  });
  const nextLine = () => {
    const line = early.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (child.exitCode !== null) return Promise.reject(new Error(`the fleet has ended: ${errors}`));
    return new Promise<string>((resolve, reject) => waiting.push({ resolve, reject }));
  };
  const ready = JSON.parse(await nextLine()) as { event: string };
  if (ready.event !== 'ready') throw new Error(`the fleet did not become ready: ${JSON.stringify(ready)} ${errors}`);
  return {
    process: child,
    journal: options.journal,
    async tell<Answer>(command: { do: string } & Record<string, unknown>) {
      child.stdin?.write(`${JSON.stringify(command)}\n`);
      const answer = JSON.parse(await nextLine()) as { done: boolean } & Answer;
      if (!answer.done) throw new Error(`the fleet did not ${command.do}: ${JSON.stringify(answer)}`);
      return answer;
    },
    async stop() {
      if (child.exitCode !== null) return;
      const ended = once(child, 'exit');
      child.stdin?.end(`${JSON.stringify({ do: 'stop' })}\n`);
      await ended;
    },
  };
}
