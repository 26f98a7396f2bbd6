/** `npm start` ends its domain in order when it is told to by SIGTERM, as a service manager does: at work and half prepared. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { access, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { stopEmbedded } from '../../src/database/embedded/server.ts';
import { inTime } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { checkout } from '../harness/archives.ts';

const timeout = 240_000;

interface Start {
  home: string;
  npm: ChildProcess;
  /** Resolves when the output holds `text`. */
  says(text: string): Promise<void>;
  /** Resolves when npm and everything that inherited its output have ended. */
  ended: Promise<unknown>;
}

async function npmStart(t: TestContext): Promise<Start> {
  const home = await mkdtemp(join(tmpdir(), 'bramble-npm-start-'));
  const npm = spawn('npm', ['start'], {
    cwd: checkout,
    env: { ...process.env, BRAMBLE_HOME: home },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  const ended = exitWithin(npm, timeout / 2, 'npm start');
  ended.catch(() => undefined);
  t.after(async () => {
    // Only where the test failed is anything of this group left.
    try {
      process.kill(-Number(npm.pid), 'SIGKILL');
    } catch {}
    await stopEmbedded({ folder: join(home, 'postgres'), mode: 'immediate' });
    await rm(home, { recursive: true, force: true });
  });
  let output = '';
  const waiting = new Set<() => void>();
  npm.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    for (const look of waiting) look();
  });
  const says = (text: string) => {
    const said = new Promise<void>((resolve, reject) => {
      const look = () => {
        if (output.includes(text)) resolve();
      };
      waiting.add(look);
      look();
      ended.then(() => reject(new Error(`npm start ended and never said ${text}: ${output}`)), reject);
    });
    return inTime(`npm start says ${text}`, timeout / 2, said);
  };
  return { home, npm, says, ended };
}

async function assertNothingRuns({ home }: Start): Promise<void> {
  await assert.rejects(access(join(home, 'postgres', 'cluster', 'data', 'postmaster.pid')), { code: 'ENOENT' });
}

test('a domain at work drains, and its database is shut down', { timeout }, async (t) => {
  const start = await npmStart(t);
  await start.says('"type":"ready","name":"router-1"');
  start.npm.kill('SIGTERM');
  await start.ended;
  await start.says('"type":"stopped"');
  await assertNothingRuns(start);
});

test('a home that is being prepared is finished, and nothing is left running', { timeout }, async (t) => {
  const start = await npmStart(t);
  await start.says('home ');
  start.npm.kill('SIGTERM');
  await start.ended;
  await start.says('"type":"stopped"');
  await assertNothingRuns(start);
});
