/**
 * For tests: a real OpenID provider, `oidc-provider` from npm, over TLS on loopback. Whoever visits it is the person that the test
 * names; what it answers can be altered on its way.
 */
import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import { createLoopbackCertificate } from '../../simulator/loopback-certificate.ts';

type Json = Record<string, unknown>;

export const clientSecret = 'a secret of thirty-two characters';

interface Person {
  sub: string;
  /** Beside `sub`. */
  claims: Json;
}

export interface OpenidProvider {
  issuer: string;
  caPem: string;
  person: Person;
  /** What becomes of an answer, by the path that was asked for. */
  readonly alter: Map<string, (answer: Json) => unknown>;
  /** Paths that were asked for, in their order. */
  readonly asked: string[];
  /** Goes where a browser was sent, through to the address that it is sent back to. */
  visit(url: string): Promise<string>;
}

const keyOf = () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
const ownKey = keyOf();
/** Of nobody that the provider knows. */
export const strangersKey = keyOf();

/** An ID token with other claims, signed by the provider's key unless another is given. */
export function alteredToken(token: unknown, change: (claims: Json) => Json, key: KeyObject | null = ownKey): string {
  const [head = '', body = ''] = String(token).split('.');
  const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Json;
  const header = JSON.parse(Buffer.from(head, 'base64url').toString()) as Json;
  const encoded = [key === null ? { alg: 'none' } : header, change(claims)]
    .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
    .join('.');
  return `${encoded}.${key === null ? '' : sign('RSA-SHA256', Buffer.from(encoded), key).toString('base64url')}`;
}

/** Closed at the end of the test file. */
export async function startOpenidProvider(redirectUris: readonly string[]): Promise<OpenidProvider> {
  const { keyPem, certificatePem, caPem } = await createLoopbackCertificate('openid');
  let handle: (incoming: IncomingMessage, response: ServerResponse) => unknown = () => undefined;
  const server = createServer({ key: keyPem, cert: certificatePem }, (incoming, response) =>
    handle(incoming, response),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`;
  const fixture: OpenidProvider = {
    ...{ issuer, caPem, alter: new Map(), asked: [] },
    person: { sub: 'nobody', claims: {} },
    visit: (url) => walk(url, issuer, caPem),
  };
  const provider = await realProvider(fixture, redirectUris);
  handle = async (incoming, response) => {
    const path = (incoming.url ?? '').split('?')[0] ?? '';
    fixture.asked.push(path);
    const change = fixture.alter.get(path);
    if (change !== undefined) alterAnswer(response, change);
    if (path.startsWith('/interaction/')) await provider.signIn(incoming, response);
    else await provider.callback(incoming, response);
  };
  return fixture;
}

async function realProvider(fixture: OpenidProvider, redirectUris: readonly string[]) {
  const { Provider } = await import('oidc-provider');
  const provider = new Provider(fixture.issuer, {
    clients: [{ client_id: 'bramble', client_secret: clientSecret, redirect_uris: [...redirectUris] }],
    jwks: {
      keys: [
        { ...createPrivateKey(ownKey.export({ type: 'pkcs8', format: 'pem' })).export({ format: 'jwk' }), kid: 'own' },
      ],
    },
    cookies: { keys: ['of tests'] },
    claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups'] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, ...fixture.person.claims }) }),
    interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
    pkce: { required: () => true },
    ttl: { Interaction: 600, Grant: 600, Session: 600, AccessToken: 600, IdToken: 600 },
  });
  return {
    callback: provider.callback(),
    signIn: async (incoming: IncomingMessage, response: ServerResponse) => {
      const { params } = await provider.interactionDetails(incoming, response);
      const accountId = fixture.person.sub;
      const grant = new provider.Grant({ accountId, clientId: String(params['client_id']) });
      grant.addOIDCScope(String(params['scope']));
      const result = { login: { accountId }, consent: { grantId: await grant.save() } };
      await provider.interactionFinished(incoming, response, result, { mergeWithLastSubmission: false });
    },
  };
}

function alterAnswer(response: ServerResponse, change: (answer: Json) => unknown): void {
  const end = response.end.bind(response) as (text: string) => ServerResponse;
  response.end = ((body: unknown) => {
    const text = JSON.stringify(change(JSON.parse(String(body)) as Json));
    response.setHeader('content-length', Buffer.byteLength(text));
    return end(text);
  }) as typeof response.end;
}

/** As a browser without a past: it keeps cookies, and follows to where it is sent until that is somewhere else. */
async function walk(url: string, issuer: string, caPem: string): Promise<string> {
  const cookies = new Map<string, string>();
  let at = url;
  while (at.startsWith(`${issuer}/`)) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      request(at, { ca: caPem, agent: false, headers: { cookie } }, resolve).on('error', reject).end();
    });
    answer.resume();
    for (const text of answer.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(text) ?? [];
      cookies.set(name, value);
    }
    const { location } = answer.headers;
    if (location === undefined) throw new Error(`the provider answered ${answer.statusCode} at ${at}`);
    at = new URL(location, at).href;
  }
  return at;
}
