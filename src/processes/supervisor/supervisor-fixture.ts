/**
 * For tests: a home with small real releases in it, and a supervisor on it whose events can be waited for. The releases'
 * program does nothing but what a supervised process owes its supervisor.
 */
import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { installArchive } from '../../release/archive.ts';
import { writeEntries } from '../../release/archive-bytes.ts';
import { formatManifest, manifestName } from '../../release/manifest.ts';
import { type Entries, sha256 } from '../../release/tar-entries.ts';
import { bundleModules } from '../../testing/bundle.ts';
import type { SupervisorEvent } from './events.ts';
import { runSupervisor, type SupervisorOptions } from './supervisor.ts';

const modules = await bundleModules({
  supervisor: new URL('supervisor.ts', import.meta.url),
  supervision: new URL('../../process/supervision.ts', import.meta.url),
  wantedSockets: new URL('../../process/wanted-sockets.ts', import.meta.url),
});

const program = (release: string) => `
import { subscribe } from 'node:diagnostics_channel';
import { appendFileSync, existsSync } from 'node:fs';
import net from 'node:net';
let listening = 0;
const kind = process.argv[3];
const settings = JSON.parse(process.env.BRAMBLE_SETTINGS);
const note = (what) => appendFileSync(process.env.BRAMBLE_HOME + '/notes', process.env.BRAMBLE_COMPONENT + ' ' + what + '\\n');
const memory = [process.execArgv.join(' '), process.env.MALLOC_ARENA_MAX, process.env.MALLOC_MMAP_THRESHOLD_];
console.log(JSON.stringify({ release: '${release}', kind, settings, database: process.env.DATABASE_URL ?? null, memory }));
if (settings.crash) process.exit(9);
const servers = [];
// What is none of its business.
if (settings.grasps) process.send({ type: 'want-socket', name: 'console' });
if (settings.heartbeat) {
  const beat = () => process.send({ type: 'alive' });
  beat();
  setInterval(beat, settings.heartbeat);
}
// Holds the event loop for good: nothing is heard, and nothing is sent.
if (settings.hang) setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0), 50);
const descriptors = new Map();
const wanted = settings.console || kind === 'signpost'
  ? (await import('${modules.wantedSockets}')).wantedSockets({ handedSockets: process.env.BRAMBLE_SOCKETS?.split(',') })
  : undefined;
// What keeps a router from handing its sockets on: once, or for good.
let asked = 0;
const offered = () => {
  asked += 1;
  if (settings.offer === 'late' && asked < 3) throw new Error('too many open files');
  return wanted ? wanted.descriptors() : descriptors;
};
if (settings.offer === 'no sender') process.execPath = '/nonexistent/node';
// As a process of this release does; without it the program is like one of 1.1, which drains without its supervisor.
const supervision = settings.adoptable
  ? (await import('${modules.supervision}')).openSupervision({
      ...{ home: process.env.BRAMBLE_HOME, name: process.env.BRAMBLE_COMPONENT, kind, release: '${release}' },
      ...{ givenSettings: settings, databaseUrl: process.env.DATABASE_URL, sockets: offered,
        onAdopted: wanted?.adoptedBy },
    }, settings.patienceMs)
  : undefined;
// The first that a supervisor says to a process that introduced itself is that it adopts it.
if (settings.adoptable) subscribe('net.client.socket', ({ socket }) => socket.once('data', () => note('adopted ${release}')));
const facts = { yields: settings.yields === true };
const sayReady = () => (supervision ? supervision.announceReady(facts) : process.send({ type: 'ready', ...facts }));
const end = async () => {
  note('end');
  // Closed only when every connection that was accepted is answered.
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  await supervision?.release();
  process.exit(0);
};
if (supervision) supervision.signal.addEventListener('abort', end);
else {
  process.on('disconnect', end);
  process.on('SIGTERM', settings.deaf ? () => note('deaf') : end);
}
process.on('message', (message, handle) => {
  if (message.type !== 'socket') return;
  descriptors.set(message.name, handle.fd);
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('${release} ' + message.name + ' ' + process.pid));
  });
  servers.push(server);
  // Some time later, as a router does that waits for its links: what arrives meanwhile waits as well.
  setTimeout(() => server.listen(handle, () => {
    listening += 1;
    if (listening === 2 && !settings.silent) sayReady();
  }), 50);
});
if (wanted) {
  // Neither a channel that is gone nor a connection to an adopter keeps it running.
  setInterval(() => {}, 1000);
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('${release} console ' + process.pid));
  });
  servers.push(server);
  const place = await wanted.take('console', { host: '127.0.0.1', port: 0 }, new AbortController().signal);
  server.listen(place, () => note('console'));
  wanted.hold('console', server);
}
if (kind !== 'router') {
  setInterval(() => {}, 1000);
  sayReady();
  // As one that waits for its links: until the test writes that a router accepted them.
  const served = setInterval(() => {
    if (!settings.yields || !existsSync(process.env.BRAMBLE_HOME + '/linked-${release}')) return;
    clearInterval(served);
    supervision ? supervision.announceServing() : process.send({ type: 'serving' });
    note('serves ${release}');
  }, 20);
}
`;

/** All homes of the test process: removed when it exits, after every supervisor has let go of its own. */
const root = mkdtempSync(path.join(os.tmpdir(), 'bramble-homes-'));
chmodSync(root, 0o711);
process.once('exit', () => rmSync(root, { recursive: true, force: true }));

/** BRAMBLE_HOME with the releases installed. */
export async function newHome(releases: readonly string[]): Promise<string> {
  const folder = await mkdtemp(path.join(root, 'home-'));
  const home = path.join(folder, 'home');
  await mkdir(home);
  await chmod(folder, 0o711);
  for (const release of releases) {
    const files: Entries = new Map([
      ['bramble.mjs', Buffer.from(program(release))],
      ['sql/001-first.expand.sql', Buffer.from('select 1;')],
    ]);
    const manifest = formatManifest({
      ...{ format: 1, release, commit: 'b'.repeat(40), workingTree: false, schemaVersion: 1, leastSchemaVersion: 1 },
      ...{ linkVersions: [1], features: [], postgres: '18' },
      files: Object.fromEntries([...files].map(([name, contents]) => [name, sha256(contents)])),
    });
    const archive = path.join(folder, `${release}.tgz`);
    await writeFile(archive, await writeEntries(files.set(manifestName, Buffer.from(manifest))));
    await installArchive(archive, { home });
  }
  return home;
}

/** Ports 0 and loopback, whatever else is given. */
export async function configure(home: string, host: string, database: Record<string, unknown>): Promise<void> {
  const ports = { publicPort: 0, srpPort: 0, listenAddress: '127.0.0.1', console: { port: 0 } };
  const configuration = { database, host, ...ports };
  await writeFile(path.join(home, 'config.json'), JSON.stringify(configuration));
}

type Picked<Type> = Extract<SupervisorEvent, { type: Type }>;

/** Events in order; each wait continues where the last one ended. */
interface EventJournal {
  onEvent(event: SupervisorEvent): void;
  /** The next event of the type, after those that were waited for before, for which the condition holds. */
  next<Type extends SupervisorEvent['type']>(
    type: Type,
    condition?: (event: Picked<Type>) => boolean,
  ): Promise<Picked<Type>>;
  readonly all: readonly SupervisorEvent[];
}

export function createJournal(): EventJournal {
  const all: SupervisorEvent[] = [];
  let seen = 0;
  let arrived = Promise.withResolvers<void>();
  return {
    all,
    onEvent: (event) => {
      all.push(event);
      arrived.resolve();
    },
    next: async <Type extends SupervisorEvent['type']>(type: Type, condition?: (event: Picked<Type>) => boolean) => {
      for (;;) {
        const event = all[seen];
        if (event === undefined) {
          arrived = Promise.withResolvers();
          await arrived.promise;
        } else {
          seen += 1;
          if (event.type === type && (condition?.(event as Picked<Type>) ?? true)) {
            return event as Picked<Type>;
          }
        }
      }
    },
  };
}

interface RunningSupervisor extends EventJournal {
  stop(): Promise<void>;
}

/** Runs a supervisor in the test's own process until the test ends. */
export function supervise(t: TestContext, home: string, options: Partial<SupervisorOptions> = {}): RunningSupervisor {
  const journal = createJournal();
  const controller = new AbortController();
  const done = runSupervisor({ home, signal: controller.signal, onEvent: journal.onEvent, ...options });
  const stop = async () => {
    controller.abort(new Error('the test is over'));
    await done;
  };
  t.after(stop);
  return { ...journal, stop };
}

/** Connects, sends something, and returns the answer; every failure is an error. */
export async function ask(port: number, host = '127.0.0.1'): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = '';
    const socket = net.connect({ port, host }, () => socket.write('hello'));
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => {
      answer += text;
    });
    socket.once('error', reject);
    socket.once('end', () => (answer === '' ? reject(new Error('closed without an answer')) : resolve(answer)));
  });
}

/** A supervisor in a process of its own, which can be killed. */
export function superviseElsewhere(t: TestContext, home: string, options: Partial<SupervisorOptions> = {}) {
  const code = `import { runSupervisor } from ${JSON.stringify(modules.supervisor)};
    await runSupervisor({ home: ${JSON.stringify(home)}, signal: new AbortController().signal,
      ...${JSON.stringify(options)}, onEvent: (event) => console.log(JSON.stringify(event)) });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
  const journal = createJournal();
  createInterface(child.stdout).on('line', (line) => journal.onEvent(JSON.parse(line) as SupervisorEvent));
  t.after(() => child.kill('SIGKILL'));
  return { ...journal, process: child };
}

/**
 * Four clients that pause briefly after each answer, to leave the machine some time for others; any failure fails the test
 * when it is next waited for.
 */
export function closedLoop(port: number) {
  let stopped = false;
  let answers = 0;
  let answered = Promise.withResolvers<string>();
  const askAgain = async () => {
    while (!stopped) {
      const answer = await ask(port);
      answers += 1;
      answered.resolve(answer);
      answered = Promise.withResolvers();
      await delay(5);
    }
  };
  const done = Promise.all(Array.from({ length: 4 }, askAgain));
  done.catch((error: unknown) => answered.reject(error));
  return {
    until: async (release: string): Promise<string> => {
      for (;;) {
        const answer = await answered.promise;
        if (answer.startsWith(release)) {
          return answer;
        }
      }
    },
    /** The number of answers, after the last one. */
    stop: async (): Promise<number> => {
      stopped = true;
      await done;
      return answers;
    },
  };
}
