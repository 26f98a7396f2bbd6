/**
 * Heads of the chain outside the database: signed by a key in this home, appended to a file. An attacker who rewrites
 * the tables with a valid chain, or truncates them, cannot also rewrite this file on another machine's disk.
 *
 *   BRAMBLE_HOME/keys/audit.json     Ed25519 key pair, 0600, beside the master key
 *   BRAMBLE_HOME/audit/heads.jsonl   a line for each head, in no order that counts, and one for each cut
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { appendFile, mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BrambleError } from '../../base/errors.ts';
import { parseShallowJson } from '../../base/shallow-json.ts';
import { writeWholeFile } from '../../database/whole-file.ts';
import type { Head } from './chain.ts';

export const headShape = z.object({
  number: z.number().int().min(0),
  chain: z.string().regex(/^[0-9a-f]{64}$/),
  at: z.string(),
  signature: z.base64(),
});
export type SignedHead = z.output<typeof headShape>;

/** Bytes read at a time; a line has some 200. */
const chunkBytes = 16 * 1024;

export const keyShape = z.object({ publicKeyPem: z.string(), privateKeyPem: z.string() });

export interface HeadFile {
  publicKeyPem: string;
  sign(head: Head, at: Date): SignedHead;
  /** In base64. */
  signText(text: string): string;
  /** Includes unsigned lines: {@link headVerifier} judges them. */
  read(): Promise<SignedHead[]>;
  /** The last one that this key signed, however many precede it. */
  last(): Promise<SignedHead | undefined>;
  append(head: SignedHead): Promise<void>;
  /** Whatever is kept beside the heads: readers of heads pass over its line. */
  appendBeside(line: { readonly cut: object }): Promise<void>;
  hasLine(line: { readonly cut: object }): Promise<boolean>;
}

/**
 * Opens the file of a home, with a fresh key if there is none yet.
 * @throws BrambleError ERR_AUDIT_KEY when the key cannot be read.
 */
export async function openHeadFile(home: string): Promise<HeadFile> {
  const path = join(home, 'audit', 'heads.jsonl');
  const { publicKeyPem, privateKeyPem } = await keyOf(join(home, 'keys', 'audit.json'));
  const key = createPrivateKey(privateKeyPem);
  const signText = (text: string) => sign(null, Buffer.from(text), key).toString('base64');
  const append = async (line: object) => {
    await mkdir(join(home, 'audit'), { recursive: true, mode: 0o700 });
    // A line that a full disk or a killed process cut off must not swallow this one.
    await appendFile(path, `\n${JSON.stringify(line)}\n`, { mode: 0o600, flush: true });
  };
  return {
    publicKeyPem,
    sign: (head, at) => {
      const facts = { number: head.number, chain: head.chain, at: at.toISOString() };
      return { ...facts, signature: signText(signedText(facts)) };
    },
    signText,
    read: async () => parseHeads(await readFile(path, 'utf8').catch(emptyIfAbsent)),
    last: () => lastSigned(path, publicKeyPem),
    append,
    appendBeside: append,
    hasLine: async (line) => {
      const text = await readFile(path, 'utf8').catch(emptyIfAbsent);
      return text.includes(`\n${JSON.stringify(line)}\n`);
    },
  };
}

/** Lines of a head file; a truncated line is skipped, since the next head covers it. */
export function parseHeads(text: string): SignedHead[] {
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [headShape.parse(parseShallowJson(line))];
    } catch {
      return [];
    }
  });
}

/** Whether a head was signed by this key. */
export function headVerifier(publicKeyPem: string): (head: SignedHead) => boolean {
  const key = createPublicKey(publicKeyPem);
  return (head) => verify(null, Buffer.from(signedText(head)), key, Buffer.from(head.signature, 'base64'));
}

/** Reads backwards: a service starts as fast with a year's heads as with a day's. */
async function lastSigned(path: string, publicKeyPem: string): Promise<SignedHead | undefined> {
  const isSigned = headVerifier(publicKeyPem);
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    let end = (await file.stat()).size;
    let cut = '';
    while (end > 0) {
      const start = Math.max(0, end - chunkBytes);
      const { buffer } = await file.read(Buffer.alloc(end - start), 0, end - start, start);
      const text = `${buffer.toString('latin1')}${cut}`;
      // The chunk may begin in the middle of a line.
      const whole = start === 0 ? 0 : text.indexOf('\n') + 1;
      const found = parseHeads(text.slice(whole)).findLast(isSigned);
      if (found !== undefined) return found;
      cut = start === 0 || whole === 0 ? '' : text.slice(0, whole);
      end = start;
    }
    return undefined;
  } finally {
    await file.close();
  }
}

/** Identifies a key. */
export function fingerprintOf(publicKeyPem: string): string {
  const der = createPublicKey(publicKeyPem).export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(der).digest('hex');
}

function signedText({ number, chain, at }: Omit<SignedHead, 'signature'>): string {
  return `bramble audit head\n${number}\n${chain}\n${at}`;
}

async function keyOf(path: string): Promise<z.output<typeof keyShape>> {
  try {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519', {
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    const fresh = { publicKeyPem: publicKey, privateKeyPem: privateKey };
    await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
    await writeWholeFile(path, `${JSON.stringify(fresh)}\n`, 'wx');
    return fresh;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  try {
    return keyShape.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (cause) {
    throw new BrambleError(
      'ERR_AUDIT_KEY',
      `The audit's key file ${path} cannot be read. Restore it from the backup. Without a backup, move it away: a ` +
        'new key is created, and heads signed by the old one are no longer trusted.',
      { cause },
    );
  }
}

function emptyIfAbsent(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return '';
  throw error;
}
