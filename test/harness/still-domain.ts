/** A domain at which nothing runs: its database in the cluster of the tests, its home in a temporary folder, and `bramble` on both. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import postgres from 'postgres';
import { createTestDatabase } from '../../src/database/database-fixture.ts';
import { prepareHome } from '../../src/setup/prepare-home.ts';
import { workingTreeArchive } from './archives.ts';
import { runCommand } from './domain.ts';

const empty = { templateKey: 'empty', prepareTemplate: async () => undefined };

export interface StillDomain {
  /** For whatever the test writes; goes with the file's last test. */
  folder: string;
  home: string;
  databaseUrl: string;
  sql: postgres.Sql;
  /** A file with the passphrase, for its owner alone; as arguments, too. */
  passphraseFile: string;
  secret: readonly string[];
  command(...args: string[]): ReturnType<typeof runCommand>;
  /** With another home. */
  commandIn(home: string, ...args: string[]): ReturnType<typeof runCommand>;
}

export const passphrase = 'correct horse battery staple';

/** To be called before the tests of a file begin. */
export async function stillDomain(archive?: string): Promise<StillDomain> {
  const folder = await mkdtemp(join(tmpdir(), 'bramble-still-'));
  // Under root PostgreSQL is another user, who has to pass through.
  await chmod(folder, 0o711);
  const home = join(folder, 'home');
  const { url: databaseUrl } = await createTestDatabase(empty);
  await prepareHome({
    ...{ home, archive: archive ?? (await workingTreeArchive()).file, name: 'Example', databaseUrl },
    ...{ publicPort: 0, srpPort: 0, consolePort: 0, instances: 1, administrationServices: 1, host: 'berlin' },
  });
  const sql = postgres(databaseUrl, { max: 2, onnotice: () => {} });
  after(async () => {
    await sql.end({ timeout: 2 });
    await rm(folder, { recursive: true, force: true });
  });
  const passphraseFile = join(folder, 'passphrase');
  await writeFile(passphraseFile, `${passphrase}\n`, { mode: 0o600 });
  const commandIn = async (inHome: string, ...args: string[]) =>
    await runCommand(args, { ...process.env, BRAMBLE_HOME: inHome });
  return {
    ...{ folder, home, databaseUrl, sql, passphraseFile, secret: ['--passphrase-file', passphraseFile] },
    command: async (...args) => await commandIn(home, ...args),
    commandIn,
  };
}
