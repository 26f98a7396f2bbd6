/**
 * Signing in at an OpenID provider: begun for a browser, which comes back with what the provider answered.
 *
 * Invariant: an answer counts once, in the browser that asked, at the address that belongs to the provider that was asked, and for
 * ten minutes. What ties it to the question is made of the secret in the browser's cookie: the database has none of it.
 */
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply } from 'fastify';
import * as z from 'zod';
import { returnPathOf } from '../../api/openid.ts';
import { typedName, typedText } from '../../api/typed-text.ts';
import { addressGroup } from '../../base/address-group.ts';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { notFound } from '../../base/not-found.ts';
import type { Queryable, Transaction } from '../../database/connection.ts';
import type { SignInDesk } from '../sign-in/desk.ts';
import type { Asking } from '../sign-in/own-pages.ts';
import { asksFactor } from '../sign-in/second-factor-rule.ts';
import { newSecret, secretDigest } from '../sign-in/secrets.ts';
import { endSessionsOf } from '../sign-in/sessions.ts';
import { openSession } from '../sign-in/start-session.ts';
import { beginAway, endAway } from '../sign-in/steps.ts';
import { noteFailure } from '../sign-in/tries.ts';
import { admit, findIdentity, refusal } from './identities.ts';
import { clockToleranceSeconds, type Provider, type ProviderClient, type Ties } from './provider-client.ts';
import { lockProvider, readProvider, type StoredProvider } from './provider-store.ts';
import { type Claims, grantOf, saysFactor, valuesOf } from './rules.ts';
import { openClientSecret } from './sealed-client-secret.ts';

const awayShape = z.object({
  provider: z.string(),
  redirectUri: z.string(),
  returnTo: z.string(),
  fresh: z.boolean(),
});

interface Begun {
  provider: string;
  returnTo: string;
  fresh: boolean;
}

/** @returns where the browser goes @throws BrambleError ERR_NOT_FOUND, ERR_OPENID_PROVIDER, ERR_BUSY */
export async function beginOpenid(
  desk: SignInDesk,
  client: ProviderClient,
  request: Asking,
  reply: FastifyReply,
  { provider: name, returnTo, fresh }: Begun,
): Promise<string> {
  const provider = await enabledProvider(desk.db, name);
  if (provider === undefined) throw notFound('OpenID provider', name);
  const opened = await withSecret(desk, provider);
  // The page that asks, which is one of ours already.
  const redirectUri = `${request.headers.origin}${returnPathOf(name)}`;
  const secret = newSecret();
  const sender = addressGroup(request.ip);
  const url = await client.address(opened, { ...tiesOf(secret), redirectUri, fresh, sender });
  await desk.note((tx) => beginAway(tx, secret, { provider: name, redirectUri, returnTo, fresh }));
  desk.cookies.set(reply, 'step', secret);
  return url;
}

/** @returns where the console goes on @throws BrambleError ERR_OPENID, ERR_OPENID_REFUSED, ERR_OPENID_PROVIDER, ERR_BUSY */
export async function finishOpenid(
  desk: SignInDesk,
  client: ProviderClient,
  request: Asking,
  reply: FastifyReply,
  address: string,
): Promise<string> {
  const { url, secret, away } = await takeAnswer(desk, request, address);
  const provider = await enabledProvider(desk.db, away.provider);
  if (provider === undefined) throw failure(`the provider ${away.provider} is not used any more`);
  const sender = addressGroup(request.ip);
  const claims = await client.claims(await withSecret(desk, provider), { ...tiesOf(secret), url, sender });
  const provenAt = provenBy(claims, away);
  const identity = { provider: provider.name, subject: claims.sub };
  try {
    const grant = grantOf(provider.rules, valuesOf(claims, provider.claim));
    if (grant === null) throw refusal(`No rule for ${provider.title} lets you in.`);
    const person = { ...namesOf(provider, claims), ...grant };
    const present = await findIdentity(desk.db, identity);
    await openSession(desk, request, reply, present?.name ?? person.name, async (tx) => {
      await assertSame(tx, provider);
      const administratorId = await admit(tx, identity, person);
      const secondFactor = provider.asksFactor || saysFactor(claims);
      if (!secondFactor && (await isAskedFactor(tx, administratorId))) {
        throw refusal(`A second factor is asked of you, and ${provider.title} does not say that it asked for one.`);
      }
      return { administratorId, method: `openid ${provider.name}`, secondFactor, provenAt };
    });
  } catch (error) {
    if (isBrambleError(error, 'ERR_OPENID_REFUSED')) await endAccess(desk, request, identity);
    throw error;
  }
  desk.cookies.clear(reply, 'step');
  return away.returnTo;
}

async function isAskedFactor(tx: Transaction, id: string): Promise<boolean> {
  return (await tx`select from administrator a where a.id = ${id} and ${asksFactor(tx)}`).length > 0;
}

/** Used up, if it is one for what this browser began. @throws BrambleError ERR_OPENID */
async function takeAnswer(desk: SignInDesk, request: Asking, address: string) {
  const secret = desk.cookies.read(request, 'step');
  const url = URL.parse(address);
  if (secret === undefined || url === null) throw notBegun();
  const states = url.searchParams.getAll('state');
  // Compared first, so that nobody ends somebody else's sign-in by an answer of his own making.
  if (states.length !== 1 || !isSameText(states[0] ?? '', tiesOf(secret).state)) throw notBegun();
  const step = await desk.note((tx) => endAway(tx, secret));
  if (step === undefined) throw notBegun();
  const away = { ...awayShape.parse(step.data), begunAt: step.begunAt };
  if (`${url.origin}${url.pathname}` !== away.redirectUri) {
    throw failure('the answer came to an address that is not the one of this provider');
  }
  return { url, secret, away };
}

/** By texts of 256 bits: a digest of the cookie's secret for each use, so that none tells another. */
function tiesOf(secret: string): Ties {
  const of = (use: string) => secretDigest(`openid ${use} ${secret}`).toString('base64url');
  return { state: of('state'), nonce: of('nonce'), verifier: of('verifier') };
}

function isSameText(one: string, other: string): boolean {
  return timingSafeEqual(secretDigest(one), secretDigest(other));
}

async function enabledProvider(q: Queryable, name: string): Promise<StoredProvider | undefined> {
  const provider = await readProvider(q, name);
  return provider?.enabled === true ? provider : undefined;
}

async function withSecret(desk: SignInDesk, provider: StoredProvider): Promise<Provider> {
  return { ...provider, clientSecret: openClientSecret(await desk.masterKeys(), provider) };
}

/** Until the session is there, the provider and its rules stay what they were asked by. @throws BrambleError ERR_OPENID */
async function assertSame(tx: Transaction, { name, revision }: StoredProvider): Promise<void> {
  const now = await lockProvider(tx, name);
  if (now?.enabled === true && now.revision === revision) return;
  throw failure(`the settings of ${name} were changed meanwhile`);
}

/**
 * When the provider asked who is there; long ago where it does not say, so that nobody gives access on the word of a sign-in
 * that may be of this morning.
 */
function provenBy({ auth_time: at }: Claims, { fresh, begunAt }: { fresh: boolean; begunAt: Date }): Date {
  const proven = new Date(typeof at === 'number' && Math.abs(at) < 1e11 ? at * 1000 : 0);
  if (fresh && proven.getTime() < begunAt.getTime() - clockToleranceSeconds * 1000) {
    throw failure('the provider did not ask again who is there, or does not say when it did (auth_time)');
  }
  return proven;
}

/** @throws BrambleError ERR_OPENID_REFUSED */
function namesOf({ nameClaim, name: provider }: StoredProvider, claims: Claims): { name: string; displayName: string } {
  const name = typedName.safeParse(valuesOf(claims, nameClaim)[0]);
  if (!name.success) throw refusal(`${provider} says no name that an administrator can have (${nameClaim}).`);
  const displayName = typedText(200).safeParse(claims['name']);
  return { name: name.data, displayName: displayName.success ? displayName.data : '' };
}

/** Whom the provider knows, and the domain does not let in any more: what is open of him ends. */
async function endAccess(desk: SignInDesk, request: Asking, identity: { provider: string; subject: string }) {
  const { provider } = identity;
  const found = await findIdentity(desk.db, identity);
  const trying = { name: `openid ${provider}`, network: addressGroup(request.ip), browser: null };
  await noteFailure(desk, trying, found?.name ?? provider);
  if (found === undefined) return;
  await desk.write((tx) => endSessionsOf(tx, found.id), {
    ...{ actor: desk.component, operation: 'sign-in refused', subjects: [found.name] },
  });
}

function notBegun(): BrambleError {
  return failure('it was not begun in this browser, took longer than ten minutes, or was answered before');
}

function failure(why: string): BrambleError {
  return new BrambleError('ERR_OPENID', `The sign-in failed: ${why}. Begin again.`);
}
