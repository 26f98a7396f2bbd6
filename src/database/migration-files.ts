/**
 * Numbered migrations: `NNN-name.expand.sql` (additive, the release before works on the result) or
 * `NNN-name.contract.sql` (only when an upgrade is finalized). A part after a line `-- backfill` is one statement that
 * is repeated in transactions of its own until it changes no row, so that it can be interrupted anywhere. A file may
 * instead consist of `create index concurrently if not exists …` alone: for large tables in use, where an ordinary
 * index build blocks all writes while it runs.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BrambleError } from '../base/errors.ts';

export interface Migration {
  readonly number: number;
  readonly name: string;
  readonly kind: 'expand' | 'contract';
  readonly statements: string;
  readonly backfill: string | undefined;
  /** Built beside live traffic, one by one, instead of `statements`; empty if the file is not of that form. */
  readonly indexes: readonly ConcurrentIndex[];
  /** SHA-256 of the file, hex. */
  readonly digest: string;
}

export interface ConcurrentIndex {
  readonly name: string;
  readonly statement: string;
}

const fileName = /^(\d{3})-([a-z0-9-]+)\.(expand|contract)\.sql$/;

/** @throws BrambleError ERR_MIGRATION_FILES when a name does not fit, numbers have a gap, or a file has two backfills. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort();
  const migrations = await Promise.all(names.map((name) => readMigration(folder, name)));
  migrations.forEach((migration, index) => {
    if (migration.number !== index + 1) {
      throw new BrambleError('ERR_MIGRATION_FILES', `Migration ${index + 1} is missing in ${folder}.`);
    }
  });
  return migrations;
}

async function readMigration(folder: string, name: string): Promise<Migration> {
  const match = fileName.exec(name);
  const [, number, title, kind] = match ?? [];
  if (!number || !title || (kind !== 'expand' && kind !== 'contract')) {
    throw new BrambleError('ERR_MIGRATION_FILES', `${name} is not named NNN-name.expand.sql or NNN-name.contract.sql.`);
  }
  const text = await readFile(join(folder, name), 'utf8');
  const [statements = '', backfill, ...more] = text.split(/^-- backfill.*$/m);
  if (more.length > 0) {
    throw new BrambleError(
      'ERR_MIGRATION_FILES',
      `${name} has more than one backfill: give each one its own migration.`,
    );
  }
  return {
    number: Number(number),
    name: title,
    kind,
    statements,
    backfill: backfill?.trim() || undefined,
    indexes: concurrentIndexes(name, text),
    digest: createHash('sha256').update(text).digest('hex'),
  };
}

const concurrently = /^create index concurrently if not exists (\w+)\s/i;

function concurrentIndexes(file: string, text: string): ConcurrentIndex[] {
  const statements = text
    .replace(/--.*$/gm, '')
    .split(';')
    .map((statement) => statement.trim())
    .filter((statement) => statement !== '');
  if (!statements.some((statement) => /\bconcurrently\b/i.test(statement))) return [];
  return statements.map((statement) => {
    const [, name] = concurrently.exec(statement) ?? [];
    if (name !== undefined) return { name, statement };
    throw new BrambleError(
      'ERR_MIGRATION_FILES',
      `${file} builds an index concurrently, so it may contain nothing but “create index concurrently if not exists ` +
        '…”: move the rest to another migration.',
    );
  });
}
