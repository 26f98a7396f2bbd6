/**
 * The domain as a client of OpenID providers, by `openid-client`, which is loaded when somebody first signs in at one.
 *
 * Invariants: the authorization code flow with PKCE, state and nonce, and nothing else; an ID token counts only with a signature by the
 * issuer's published keys, also where it came over TLS; what a provider says of itself is asked for at most once in ten minutes, and again
 * no sooner than five seconds after it failed; strangers can have only so many sign-ins under way.
 */
import type * as OpenidClient from 'openid-client';
import { BoundedMap } from '../../base/bounded-map.ts';
import { BrambleError, isBrambleError, messageOf } from '../../base/errors.ts';
import { createFairQueue } from '../../base/fair-queue.ts';
import type { NameLookups } from '../../base/name-lookups.ts';
import { providerFetch } from './provider-fetch.ts';
import type { StoredProvider } from './provider-store.ts';
import { type Claims, valuesOf } from './rules.ts';

/** With its secret opened. */
export interface Provider
  extends Pick<
    StoredProvider,
    'name' | 'issuer' | 'clientId' | 'scopes' | 'claim' | 'nameClaim' | 'caPem' | 'revision'
  > {
  readonly clientSecret: string | null;
}

/** What ties an answer to the question: known to the browser's cookie alone. */
export interface Ties {
  readonly state: string;
  readonly nonce: string;
  readonly verifier: string;
}

export interface ProviderClient {
  /** Where the browser goes. @throws BrambleError ERR_OPENID_PROVIDER, ERR_BUSY */
  address(provider: Provider, asked: Ties & { redirectUri: string; fresh: boolean; sender: string }): Promise<string>;
  /** Who came back. @throws BrambleError ERR_OPENID, ERR_OPENID_PROVIDER, ERR_BUSY */
  claims(provider: Provider, answered: Ties & { url: URL; sender: string }): Promise<Claims & { sub: string }>;
  /** In a sentence, what it says of itself, asked anew. @throws BrambleError ERR_OPENID_PROVIDER, ERR_BUSY */
  look(provider: Provider, sender: string): Promise<string>;
}

/** Clocks of provider and domain may differ by so much. */
export const clockToleranceSeconds = 60;
const foundMs = 600_000;
const failedMs = 5000;
const maxFound = 32;

const queueLimits = { maxInProgress: 8, maxPlaces: 64, maxPlacesOfKey: 8 } as const;

interface Found {
  readonly config: Promise<OpenidClient.Configuration>;
  untilMs: number;
}

interface ProviderClientOptions {
  readonly names: NameLookups;
  readonly timeoutMs?: number;
  readonly nowMs?: () => number;
}

export function createProviderClient({
  names,
  timeoutMs,
  nowMs = () => performance.now(),
}: ProviderClientOptions): ProviderClient {
  const queue = createFairQueue({ lanes: ['openid'], ...queueLimits });
  const found = new BoundedMap<string, Found>(maxFound);

  async function inTurn<Result>(sender: string, work: () => Promise<Result>): Promise<Result> {
    const place = queue.enter('openid', sender);
    if (place === undefined) {
      throw new BrambleError('ERR_BUSY', 'Too many are signing in at the moment. Try again in a moment.');
    }
    try {
      await place.turn();
      return await work();
    } finally {
      place.leave();
    }
  }

  async function discovered(provider: Provider, anew = false): Promise<OpenidClient.Configuration> {
    const key = `${provider.name} ${provider.revision}`;
    const present = found.get(key);
    if (!anew && present !== undefined && present.untilMs > nowMs()) return await present.config;
    const config = discover(provider, names, timeoutMs);
    const entry: Found = { config, untilMs: nowMs() + foundMs };
    found.set(key, entry);
    return await config.catch((error: unknown) => {
      entry.untilMs = nowMs() + failedMs;
      throw error;
    });
  }

  return {
    address: (provider, { sender, ...asked }) =>
      inTurn(sender, async () => await addressAt(await discovered(provider), provider, asked)),
    claims: (provider, { sender, ...answered }) =>
      inTurn(sender, async () => await claimsOf(await discovered(provider), provider, answered)),
    look: (provider, sender) =>
      inTurn(sender, async () => {
        const { issuer, authorization_endpoint: at } = (await discovered(provider, true)).serverMetadata();
        return `${issuer} has people sign in at ${at}.`;
      }),
  };
}

async function discover(
  provider: Provider,
  names: NameLookups,
  timeoutMs: number | undefined,
): Promise<OpenidClient.Configuration> {
  const client = await import('openid-client');
  const { issuer, clientId, clientSecret: secret, caPem, name } = provider;
  const find = (host: string, signal: AbortSignal) => names(host, `OpenID provider ${name}`, signal);
  const authentication: OpenidClient.ClientAuth = (server, own, body, headers) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic'];
    const takesBasic = methods.includes('client_secret_basic') || !methods.includes('client_secret_post');
    const how = takesBasic ? client.ClientSecretBasic : client.ClientSecretPost;
    (secret === null ? client.None() : how(secret))(server, own, body, headers);
  };
  try {
    const config = await client.discovery(
      new URL(issuer),
      clientId,
      { [client.clockTolerance]: clockToleranceSeconds },
      authentication,
      {
        [client.customFetch]: providerFetch({ caPem, find, ...(timeoutMs === undefined ? {} : { timeoutMs }) }),
        execute: [client.enableNonRepudiationChecks],
      },
    );
    const said = config.serverMetadata();
    // The library takes some well-known hosts' word for other issuers.
    if (said.issuer !== issuer) throw new Error(`it calls itself ${said.issuer}`);
    for (const address of [said.authorization_endpoint, said.token_endpoint, said.jwks_uri]) {
      if (address === undefined || URL.parse(address)?.protocol !== 'https:') {
        throw new Error('it names no address with TLS for signing in, for tokens or for its keys');
      }
    }
    return config;
  } catch (error) {
    throw unusable(provider, error);
  }
}

async function addressAt(
  config: OpenidClient.Configuration,
  { scopes }: Provider,
  { redirectUri, state, nonce, verifier, fresh }: Ties & { redirectUri: string; fresh: boolean },
): Promise<string> {
  const client = await import('openid-client');
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri: redirectUri,
    scope: [...new Set(['openid', ...scopes])].join(' '),
    ...{
      state,
      nonce,
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
    },
    // With `max_age` the provider has to say when it asked who is there.
    ...(fresh ? { prompt: 'login', max_age: '0' } : {}),
  });
  return url.href;
}

async function claimsOf(
  config: OpenidClient.Configuration,
  provider: Provider,
  { url, state, nonce, verifier }: Ties & { url: URL },
): Promise<Claims & { sub: string }> {
  const client = await import('openid-client');
  try {
    const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true };
    const tokens = await client.authorizationCodeGrant(config, url, checks);
    const claims = tokens.claims();
    if (claims === undefined) throw new Error('there is no ID token');
    const isWhole = [provider.claim, provider.nameClaim].every((path) => valuesOf(claims, path).length > 0);
    if (isWhole || config.serverMetadata().userinfo_endpoint === undefined) return claims;
    // Without the ID token's own word it would not be known whose this is.
    const further = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
    return { ...further, ...claims };
  } catch (error) {
    throw notSignedIn(client, provider, error);
  }
}

function unusable({ name }: Provider, error: unknown): BrambleError {
  const own = ownFailure(error);
  if (own !== undefined) return own;
  const message = `What the OpenID provider ${name} says of itself cannot be used: ${reasonOf(error)}.`;
  return new BrambleError('ERR_OPENID_PROVIDER', message, { cause: error });
}

function notSignedIn(client: typeof OpenidClient, { name }: Provider, error: unknown): BrambleError {
  const own = ownFailure(error);
  if (own !== undefined) return own;
  const refused = error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError;
  // Of its texts only the word that the standard has: the rest came by way of the browser.
  const why = refused && /^[a-z_]{1,60}$/.test(error.error) ? `it refused (${error.error})` : reasonOf(error);
  return new BrambleError('ERR_OPENID', `The sign-in at ${name} failed: ${why}. Begin again.`, { cause: error });
}

/** What the fetch of our own has thrown. */
function ownFailure(error: unknown): BrambleError | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (isBrambleError(cause)) return cause;
  return undefined;
}

function reasonOf(error: unknown): string {
  return messageOf(error).slice(0, 200);
}
