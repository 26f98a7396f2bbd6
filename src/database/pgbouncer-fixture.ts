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
import { until } from '../base/test-condition.ts';
import { serverUser } from './embedded/server-user.ts';

export type PoolMode = 'session' | 'transaction' | 'statement';

export interface Pgbouncer {
  /** Of the same database, through it. */
  readonly url: string;
  readonly process: ChildProcess;
  stop(): Promise<void>;
}

/** Starts one; whatever ends the test's process ends it too. */
export async function startPgbouncer(
  databaseUrl: string,
  mode: PoolMode,
  settings: Readonly<Record<string, string | number>> = {},
): Promise<Pgbouncer> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-pgbouncer-'));
  const user = await serverUser();
  const server = new URL(databaseUrl);
  const port = await freePort();
  const all = {
    listen_addr: '127.0.0.1',
    listen_port: port,
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
  await writeFile(file, ['[databases]', `* = ${database}`, '[pgbouncer]', ...lines, ''].join('\n'));
  await chmod(folder, 0o755);
  const child = spawn('pgbouncer', [file], {
    ...(user === null ? {} : { uid: user.uid, gid: user.gid }),
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said = `${said}${chunk.toString('utf8')}`.slice(-4000);
  });
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  await until('pgbouncer listens', 60_000, async () => {
    if (child.exitCode !== null) throw new Error(`pgbouncer ended: ${said}`);
    return await answers(port);
  });
  return {
    url: Object.assign(new URL(databaseUrl), { host: `127.0.0.1:${port}` }).href,
    process: child,
    stop: async () => {
      process.off('exit', kill);
      const ended = once(child, 'exit');
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

async function answers(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1');
  return (await new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  }).finally(() => socket.destroy())) as boolean;
}
