/**
 * The file of a backup: a tar archive of
 *
 *   backup.json                  the head, readable by anyone
 *   home                         files of the home, as JSON
 *   tables/<name>/<number>       rows as COPY writes them, some MiB at a time
 *   manifest.json, manifest.mac  digests of all of it, and the signature
 *
 * where home and tables are compressed (gzip) and encrypted. Invariants: the file has its name only when it is complete and
 * on the disk; and nothing of a file is used before every byte of it was compared with the signed manifest.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { link, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import tar from 'tar-stream';
import type * as z from 'zod';
import { syncFolder } from '../base/durable-file.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { isLeftOver, ownerMark } from '../base/owner-mark.ts';
import { type BackupHead, type BackupManifest, backupHeadShape, backupManifestShape } from './manifest.ts';
import { type BackupKeys, backupKeysOf, isEqual } from './passphrase-key.ts';

const names = { head: 'backup.json', manifest: 'manifest.json', signature: 'manifest.mac' } as const;
/** Of one entry; a part is smaller by far. */
const maxEntryBytes = 256 * 1024 * 1024;
const packed = promisify(gzip);
const unpacked = promisify(gunzip);

export interface BackupWriter {
  /** Compresses, encrypts and appends. */
  add(name: string, plain: Buffer): Promise<void>;
  /** Gives the file its name. @returns SHA-256 of the manifest, which stands for all of it */
  finish(manifest: Omit<BackupManifest, 'head' | 'parts'>): Promise<string>;
  /** Removes what there is of it. */
  abandon(): Promise<void>;
}

/** @throws BrambleError ERR_BACKUP_TARGET when there is a file of that name; ERR_BACKUP_WRITE, also from its functions */
export async function createBackupFile(path: string, head: BackupHead, keys: BackupKeys): Promise<BackupWriter> {
  if (await isThere(path)) throw alreadyThere(path);
  await removeLeftOvers(dirname(path));
  const draft = `${path}.${randomBytes(4).toString('hex')}.${await ownerMark()}.part`;
  const pack = tar.pack();
  const written = pipeline(pack, createWriteStream(draft, { flags: 'wx', mode: 0o600, flush: true })).catch((error) => {
    throw writeError(path, error);
  });
  // A full disk ends the file; of an entry it is only told that it is over, or nothing. Not raced with each entry: the reactions that a
  // promise collects until it is settled would hold every entry's contents.
  let giveUp: (error: unknown) => void = () => {};
  written.catch((error: unknown) => giveUp(error));
  const parts: BackupManifest['parts'] = [];
  const append = async (name: string, contents: Buffer) => {
    const taken = Promise.withResolvers<void>();
    giveUp = taken.reject;
    if (pack.destroyed) await written;
    const entry = pack.entry({ name, size: contents.length, mode: 0o600 }, (error) =>
      error ? taken.reject(error) : taken.resolve(),
    );
    entry.end(contents);
    await taken.promise.catch(async (error: unknown) => {
      pack.destroy();
      await written;
      throw error;
    });
  };
  const abandon = async () => {
    pack.destroy();
    await written.catch(() => {});
    await rm(draft, { force: true });
  };
  const headText = jsonOf(head);
  try {
    await append(names.head, headText);
  } catch (error) {
    await abandon();
    throw error;
  }
  return {
    add: async (name, plain) => {
      const contents = keys.seal(parts.length, partName(head, name), await packed(plain, { level: 1 }));
      parts.push({ name, bytes: contents.length, sha256: sha256(contents) });
      await append(name, contents);
    },
    finish: async (facts) => {
      const text = jsonOf({ head: sha256(headText), ...facts, parts });
      await append(names.manifest, text);
      await append(names.signature, keys.sign(text));
      pack.finalize();
      await written;
      try {
        await renameBackup(draft, path);
      } finally {
        await rm(draft, { force: true });
      }
      return sha256(text);
    },
    abandon,
  };
}

/** Never over another file. @throws BrambleError ERR_BACKUP_TARGET, ERR_BACKUP_WRITE */
export async function renameBackup(file: string, path: string): Promise<void> {
  try {
    await link(file, path);
    await syncFolder(dirname(path));
    await rm(file);
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === 'EEXIST' ? alreadyThere(path) : writeError(path, error);
  }
}

/** A file of which every byte was compared with the manifest that its passphrase signed. */
export interface OpenedBackup {
  readonly path: string;
  readonly head: BackupHead;
  readonly manifest: BackupManifest;
  /** SHA-256 of the manifest. */
  readonly sha256: string;
  /** The parts in order, decrypted. */
  parts(): AsyncGenerator<{ name: string; plain: Buffer }>;
}

/** The head alone: of a file that may be damaged behind it. @throws BrambleError ERR_BACKUP_FILE */
export async function readBackupHead(path: string): Promise<BackupHead> {
  for await (const { name, contents } of entriesOf(path)) {
    if (name === names.head) return parsed(path, 'head', backupHeadShape, contents);
    break;
  }
  throw notABackup(path, 'it does not begin as one');
}

/**
 * Reads the whole file once.
 * @throws BrambleError ERR_BACKUP_FILE when it is cut short or changed, ERR_BACKUP_PASSPHRASE
 */
export async function openBackup(
  path: string,
  passphrase: string,
  onProgress: (bytes: number, of: number) => void = () => {},
): Promise<OpenedBackup> {
  const { size } = await stat(path).catch((error: unknown) => {
    throw notABackup(path, messageOf(error));
  });
  const found: BackupManifest['parts'] = [];
  let [head, keys, headDigest]: [BackupHead?, BackupKeys?, string?] = [];
  let [text, signature, bytes]: [Buffer?, Buffer?, number?] = [];
  for await (const { name, contents } of entriesOf(path)) {
    bytes = (bytes ?? 0) + contents.length;
    onProgress(bytes, size);
    if (head === undefined) {
      if (name !== names.head) throw notABackup(path, 'it does not begin as one');
      head = parsed(path, 'head', backupHeadShape, contents);
      headDigest = sha256(contents);
      keys = await backupKeysOf(passphrase, head.key);
    } else if (name === names.manifest) text = contents;
    else if (name === names.signature) signature = contents;
    else if (text !== undefined) throw changed(path, 'something follows its manifest');
    else found.push({ name, bytes: contents.length, sha256: sha256(contents) });
  }
  if (head === undefined || keys === undefined) throw notABackup(path, 'it is empty');
  if (text === undefined || signature === undefined) throw cutShort(path);
  if (!isEqual(keys.sign(text), signature)) throw changed(path, 'its manifest is not the one that was signed');
  const manifest = parsed(path, 'manifest', backupManifestShape, text);
  if (manifest.head !== headDigest) throw changed(path, 'its head is not that of its manifest');
  for (const [index, part] of manifest.parts.entries()) {
    const has = found[index];
    if (has?.name !== part.name || has.sha256 !== part.sha256) throw changed(path, `${part.name} differs`);
  }
  if (found.length !== manifest.parts.length) throw changed(path, 'it has more parts than its manifest');
  const opened = { path, head, manifest, sha256: sha256(text) };
  return { ...opened, parts: () => decrypted(opened, keys) };
}

/** Drafts of processes that were killed: nobody else would remove them, and each is as large as a backup. */
async function removeLeftOvers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const [, mark] = /\.[0-9a-f]{8}\.([^.]+)\.part$/.exec(name) ?? [];
    if (mark !== undefined && (await isLeftOver(mark)))
      await rm(join(folder, name), { force: true }).catch(() => undefined);
  }
}

async function* decrypted(
  { path, head, manifest }: Pick<OpenedBackup, 'path' | 'head' | 'manifest'>,
  keys: BackupKeys,
): AsyncGenerator<{ name: string; plain: Buffer }> {
  let index = 0;
  for await (const { name, contents } of entriesOf(path)) {
    if (name === names.head) continue;
    const part = manifest.parts[index];
    if (part === undefined) return;
    if (part.name !== name || part.sha256 !== sha256(contents))
      throw changed(path, `${name} changed while it was read`);
    yield { name, plain: (await unpacked(keys.open(index, partName(head, name), contents))) as Buffer };
    index++;
  }
}

async function* entriesOf(path: string): AsyncGenerator<{ name: string; contents: Buffer }> {
  const found = await stat(path).catch((error: unknown) => {
    throw notABackup(path, messageOf(error));
  });
  // A pipe, say, may never end.
  if (!found.isFile()) throw notABackup(path, 'it is not a file');
  const extract = tar.extract();
  const feeding = pipeline(createReadStream(path), extract);
  feeding.catch(() => {});
  try {
    for await (const entry of extract) {
      if (entry.header.type !== 'file' || (entry.header.size ?? 0) > maxEntryBytes)
        throw notABackup(path, 'it has entries that no backup of Bramble has');
      yield { name: entry.header.name, contents: await buffer(entry) };
    }
    await feeding;
  } catch (error) {
    if (error instanceof BrambleError) throw error;
    const text = messageOf(error);
    throw /unexpected end|premature/i.test(text) ? cutShort(path, error) : notABackup(path, text, error);
  } finally {
    extract.destroy();
  }
}

function parsed<Shape extends z.ZodType>(path: string, what: string, shape: Shape, contents: Buffer): z.output<Shape> {
  try {
    return shape.parse(JSON.parse(contents.toString('utf8')));
  } catch (cause) {
    throw notABackup(path, `its ${what} is of a form that this release does not know`, cause);
  }
}

function partName({ id }: BackupHead, name: string): string {
  return `${id}/${name}`;
}

function jsonOf(value: object): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

function sha256(contents: Buffer): string {
  return createHash('sha256').update(contents).digest('hex');
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

function alreadyThere(path: string): BrambleError {
  return new BrambleError(
    'ERR_BACKUP_TARGET',
    `${path} is there already. Name a file that is not, or a folder with --to.`,
  );
}

function writeError(path: string, cause: unknown): BrambleError {
  return new BrambleError(
    'ERR_BACKUP_WRITE',
    (cause as NodeJS.ErrnoException).code === 'ENOENT'
      ? `The backup ${path} could not be written: there is no folder ${dirname(path)}. Make it, or name another one.`
      : `The backup ${path} could not be written (${messageOf(cause)}), and what was written of it is removed. Make room, or ` +
          'write it elsewhere, and try again.',
    { cause },
  );
}

function notABackup(path: string, why: string, cause?: unknown): BrambleError {
  return new BrambleError('ERR_BACKUP_FILE', `${path} cannot be read as a backup: ${why}. Nothing was changed.`, {
    cause,
  });
}

function cutShort(path: string, cause?: unknown): BrambleError {
  return new BrambleError(
    'ERR_BACKUP_FILE',
    `The backup ${path} is cut short: its end, with the manifest, is missing. Nothing was changed. Copy it again from where ` +
      'it was made, or take another one.',
    { cause },
  );
}

function changed(path: string, why: string): BrambleError {
  return new BrambleError(
    'ERR_BACKUP_FILE',
    `The backup ${path} was changed after it was made: ${why}. Nothing was changed here. Copy it again from where it was ` +
      'made, or take another one.',
  );
}
