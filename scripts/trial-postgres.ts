/**
 * `npm run trial-postgres`: a PostgreSQL that belongs to no domain, for trying on one machine what needs an external one. It
 * outlives this command, until it is stopped. Not for data that should last.
 */
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import postgres from 'postgres';
import { startEmbedded, stopEmbedded } from '../src/database/embedded/server.ts';
import { readOptions } from './script-options.ts';

const usage = `npm run trial-postgres -- <folder> [options]
  (none)           starts a PostgreSQL in the folder, and prints its address, with the password of its superuser
  --execute FILE   executes the SQL in the file there, as its superuser
  --stop           stops it`;
const { values, positionals } = readOptions(usage, {
  allowPositionals: true,
  options: { execute: { type: 'string' }, stop: { type: 'boolean', default: false } },
});
if (positionals.length !== 1) {
  process.stderr.write(`error: Name one folder.\n\n${usage}\n`);
  process.exit(2);
}

const home = resolve(positionals[0] ?? '');
const folder = join(home, 'postgres');
if (values.stop) await stopEmbedded({ folder, mode: 'fast' });
else {
  await mkdir(home, { recursive: true });
  // Under root PostgreSQL is another user, who has to pass through; its own folder is protected by its mode.
  await chmod(home, 0o755);
  const { url } = await startEmbedded({ folder });
  if (values.execute === undefined) process.stdout.write(`${url}\n`);
  else await execute(url, await readFile(values.execute, 'utf8'));
}

async function execute(url: string, script: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: ({ message }) => process.stderr.write(`${message}\n`) });
  try {
    await sql.unsafe(script);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
