/**
 * For tests: a real pgbouncer in front of a PostgreSQL, as the user that PostgreSQL runs as. It accepts any
 * client on loopback without a password, and connects with the credentials of the address that it was given.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../testing/condition.ts';
import { exitWithin, hasEnded } from '../testing/process.ts';
import { type ServerUser, serverUser } from './embedded/server-user.ts';

export type PoolMode = 'session' | 'transaction' | 'statement';

export interface Pgbouncer {
  /** Address of the same database through pgbouncer. */
  readonly url: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Between a look for a free port and pgbouncer's own bind another process may take it. */
const portsTried = 5;

/** Starts one; whatever ends the test's process ends it too. */
export async function startPgbouncer(
  databaseUrl: string,
  mode: PoolMode,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Pgbouncer> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-pgbouncer-'));
  const user = await serverUser();
  const server = new URL(databaseUrl);
  const all = {
    listen_addr: '127.0.0.1',
    unix_socket_dir: '',
    auth_type: 'any',
    pool_mode: mode,
    default_pool_size: 100,
    max_client_conn: 500,
    server_login_retry: 1,
    ...settings,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name} = ${value}`);
  const database = [
    `host=${server.hostname} port=${server.port} dbname=${server.pathname.slice(1)}`,
    `user=${decodeURIComponent(server.username)} password=${decodeURIComponent(server.password)}`,
  ].join(' ');
  const file = join(folder, 'pgbouncer.ini');
  await chmod(folder, 0o755);
  for (let tried = 1; ; tried += 1) {
    const port = await freePort();
    const text = ['[databases]', `* = ${database}`, '[pgbouncer]', `listen_port = ${port}`, ...lines, ''];
    await writeFile(file, text.join('\n'));
    const child = await launch(file, user, tried < portsTried);
    if (child === 'port-taken') continue;
    const kill = () => void child.kill('SIGKILL');
    process.once('exit', kill);
    return {
      url: Object.assign(new URL(databaseUrl), { host: `127.0.0.1:${port}` }).href,
      process: child,
      stop: async () => {
        process.off('exit', kill);
        child.kill('SIGKILL');
        await exitWithin(child, 30_000, 'pgbouncer');
        await rm(folder, { recursive: true, force: true });
      },
    };
  }
}

/** Judged by its own output: another process may answer on the port. */
async function launch(
  file: string,
  user: ServerUser | null,
  mayBeTaken: boolean,
): Promise<ChildProcess | 'port-taken'> {
  const child = spawn('pgbouncer', [file], {
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString('utf8')}`.slice(-4000);
  });
  try {
    await until('pgbouncer listens', 60_000, () => hasEnded(child) || said.includes(' listening on '));
  } catch (error) {
    child.kill('SIGKILL');
    throw error;
  }
  if (!hasEnded(child)) return child;
  await exitWithin(child, 30_000, 'pgbouncer');
  if (mayBeTaken && said.includes('Address already in use')) return 'port-taken';
  throw new Error(`pgbouncer ended: ${said}`);
}

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
