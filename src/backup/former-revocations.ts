/**
 * The revocations that the former domain's routers knew, from its home: what was revoked after the backup is in no other
 * place. Only a list that the domain's authority signed is taken, and the newest of them.
 */
import { X509Certificate } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { listAuthorityCertificates } from '../domain/authorities.ts';
import { envelopeShape, type RevocationList, revocationListShape } from '../link/messages.ts';
import { openEnvelope } from '../link/signed-envelope.ts';

/** Of `router/<name>/state.json`, as far as it matters here. */
const stateShape = z.object({ list: envelopeShape.nullable() });

type Envelope = z.output<typeof envelopeShape>;

/**
 * Before anything is made.
 * @throws BrambleError ERR_INPUT when the folder has no list of a router
 */
export async function readFormerLists(home: string): Promise<Envelope[]> {
  const folder = join(home, 'router');
  const lists: Envelope[] = [];
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const text = await readFile(join(folder, name, 'state.json'), 'utf8').catch(() => 'null');
    const state = stateShape.nullable().safeParse(parsed(text)).data;
    if (state?.list) lists.push(state.list);
  }
  if (lists.length > 0) return lists;
  throw new BrambleError(
    'ERR_INPUT',
    `"${home}" is not the former home: it has no list of revocations, router/<name>/state.json. Nothing was changed. Name ` +
      'another folder, or restore without it.',
  );
}

/** The newest that the domain signed; undefined if it signed none. */
export async function newestSigned(q: Queryable, lists: readonly Envelope[]): Promise<RevocationList | undefined> {
  const certificates = await listAuthorityCertificates(q);
  const domain = certificates.find(({ name }) => name === 'domain');
  if (domain === undefined) return undefined;
  const key = new X509Certificate(domain.certificate).publicKey;
  const signed = lists.flatMap((list) => {
    try {
      return [openEnvelope(list, revocationListShape, key)];
    } catch {
      return [];
    }
  });
  return signed.sort((one, other) => other.number - one.number)[0];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
