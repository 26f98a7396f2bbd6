/** For tests only: PostgreSQL servers of a test's own, in TLS or as primary and standby. */
import { execFile } from 'node:child_process';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { TestIdentity } from '../link/link-fixture.ts';
import { until } from '../testing/condition.ts';
import { openDatabase } from './connection.ts';
import { startEmbedded, stopEmbedded } from './embedded/server.ts';
import { serverUser } from './embedded/server-user.ts';

const run = promisify(execFile);
const settings = { shared_buffers: '32MB', max_connections: '40', fsync: 'off', logging_collector: 'off' };

interface TestServer {
  readonly url: string;
  readonly port: number;
  /** As a crash would. */
  kill(): Promise<void>;
  /** What it has written about itself. */
  log(): Promise<string>;
}

/** A folder that PostgreSQL's user can reach; it is removed with the test, after the servers in it have been stopped. */
async function newFolder(t: TestContext, ...servers: string[]): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'bramble-cluster-'));
  await chmod(folder, 0o711);
  t.after(async () => {
    for (const server of servers) await stopEmbedded({ folder: path.join(folder, server), mode: 'immediate' });
    await rm(folder, { recursive: true, force: true });
  });
  return folder;
}

async function start(folder: string, more: Readonly<Record<string, string>> = {}): Promise<TestServer> {
  const { url, port } = await startEmbedded({ folder, settings: { ...settings, ...more } });
  return {
    url,
    port,
    kill: async () => void (await stopEmbedded({ folder, mode: 'immediate' })),
    log: async () => {
      const starts = path.join(folder, 'starts');
      const texts = (await readdir(starts)).map(async (name) => await readFile(path.join(starts, name), 'utf8'));
      return (await Promise.all(texts)).join('');
    },
  };
}

/** A server that proves itself with this certificate, or has no TLS. */
export async function startServer(t: TestContext, identity?: TestIdentity): Promise<TestServer> {
  const folder = await newFolder(t, 'server');
  const home = path.join(folder, 'server');
  if (!identity) return await start(home);
  const [certificate, key] = [path.join(folder, 'server.pem'), path.join(folder, 'server-key.pem')];
  const user = await serverUser();
  for (const [file, text] of [
    [certificate, identity.certificatePem],
    [key, identity.privateKeyPem],
  ] as const) {
    await writeFile(file, text, { mode: 0o600 });
    if (user !== null) await chown(file, user.uid, user.gid);
  }
  return await start(home, { ssl: 'on', ssl_cert_file: certificate, ssl_key_file: key });
}

/** A standby that has everything that the primary has acknowledged; `more` are settings of both. */
export async function startPair(
  t: TestContext,
  more: Readonly<Record<string, string>> = {},
): Promise<{ primary: TestServer; standby: TestServer }> {
  const folder = await newFolder(t, 'second', 'first');
  const [first, second] = [path.join(folder, 'first'), path.join(folder, 'second')];
  await start(first, more);
  await stopEmbedded({ folder: first, mode: 'fast' });
  await mkdir(second, { mode: 0o755 });
  await run('cp', ['-a', path.join(first, 'cluster'), path.join(first, 'pg'), second]);
  const signal = path.join(second, 'cluster', 'data', 'standby.signal');
  await writeFile(signal, '', { mode: 0o600 });
  const user = await serverUser();
  if (user !== null) await chown(signal, user.uid, user.gid);
  const primary = await start(first, { synchronous_commit: 'on', ...more });
  const { username, password, port } = new URL(primary.url);
  const standby = await start(second, {
    ...more,
    primary_conninfo: `host=127.0.0.1 port=${port} user=${username} password=${decodeURIComponent(password)}`,
  });
  const db = openDatabase(primary.url, { applicationName: 'bramble/test', max: 1 });
  try {
    await db.unsafe("alter system set synchronous_standby_names = '*'");
    await db`select pg_reload_conf()`;
    await until('the standby is asked about each commit', 60_000, async () => {
      const [row] = await db`select sync_state from pg_stat_replication`;
      return row?.['sync_state'] === 'sync';
    });
  } finally {
    await db.end();
  }
  return { primary, standby };
}
