/**
 * The revocations that the former domain's routers knew, from its home: what was revoked after the backup is in no other
 * place. Only a list is taken that the domain's authority signed, or a successor to which its statements lead, and the newest.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import type { Queryable } from '../database/connection.ts';
import { listAuthorityCertificates } from '../domain/authorities.ts';
import { envelopeShape, type RevocationList, revocationListShape } from '../link/messages.ts';
import { openEnvelope } from '../link/signed-envelope.ts';
import { keysOf, trustFrom } from '../link/trusted-authorities.ts';

/** Of `router/<name>/state.json`, as far as it matters here. */
const stateShape = z.object({ list: envelopeShape.nullable(), statements: z.array(envelopeShape).default([]) });

interface FormerList {
  readonly list: z.output<typeof envelopeShape>;
  readonly statements: readonly z.output<typeof envelopeShape>[];
}

/**
 * Before anything is made.
 * @throws BrambleError ERR_INPUT when the folder has no list of a router
 */
export async function readFormerLists(home: string): Promise<FormerList[]> {
  const folder = join(home, 'router');
  const lists: FormerList[] = [];
  for (const name of await readdir(folder).catch((): string[] => [])) {
    const text = await readFile(join(folder, name, 'state.json'), 'utf8').catch(() => 'null');
    const state = stateShape.nullable().safeParse(parsed(text)).data;
    if (state?.list) lists.push({ list: state.list, statements: state.statements });
  }
  if (lists.length > 0) return lists;
  throw new BrambleError(
    'ERR_INPUT',
    `"${home}" is not the former home: it has no list of revocations, router/<name>/state.json. Nothing was changed. Name ` +
      'another folder, or restore without it.',
  );
}

/**
 * The newest that the domain signed; undefined if no former home was named.
 * @throws BrambleError ERR_INPUT if it signed none: the home is another domain's
 */
export async function newestSigned(q: Queryable, lists: readonly FormerList[]): Promise<RevocationList | undefined> {
  if (lists.length === 0) return undefined;
  const newest = (await signedByDomain(q, lists)).sort((one, other) => other.number - one.number)[0];
  if (newest !== undefined) return newest;
  throw new BrambleError(
    'ERR_INPUT',
    'No list of revocations in the former home was signed by the domain of the backup: it is the home of another domain. Name ' +
      'another folder, or leave out --former-home.',
  );
}

async function signedByDomain(q: Queryable, lists: readonly FormerList[]): Promise<RevocationList[]> {
  const certificates = await listAuthorityCertificates(q);
  const domain = certificates.find(({ name }) => name === 'domain');
  if (domain === undefined) return [];
  return lists.flatMap(({ list, statements }) => {
    const { authorities } = trustFrom([domain.certificate], statements);
    try {
      return [openEnvelope(list, revocationListShape, keysOf([domain.certificate, ...authorities]))];
    } catch {
      return [];
    }
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
