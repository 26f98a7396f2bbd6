/** The few things that the simulator asks of an administration service: accounts, activation passwords, the push address. */
import { readFile } from 'node:fs/promises';
import { request as plainRequest } from 'node:http';
import { request as tlsRequest } from 'node:https';
import { join } from 'node:path';
import * as z from 'zod';
import { type ErrorCode, isReceivedCode } from '../base/error-codes.ts';
import { BrambleError, messageOf } from '../base/errors.ts';

/** Where the administration service is by now: an upgrade gives it another port. */
export type FindAccess = () => Promise<AdministrationAccess>;

export interface AdministrationAccess {
  /** Tried in this order: any administration service of the domain will do. */
  readonly urls: readonly string[];
  readonly token: string;
  /** Root of the administration service's certificate, for https. */
  readonly caPem?: string;
}

const accessFile = z.object({
  url: z.url().optional(),
  urls: z.array(z.url()).default([]),
  token: z.string().min(1),
  caPem: z.string().optional(),
});

/**
 * What `bramble up` wrote for the first administrator.
 * @throws BrambleError ERR_ADMIN_ACCESS when it cannot be read
 */
export async function readAdministrationAccess(home: string): Promise<AdministrationAccess> {
  const path = join(home, 'admin.json');
  try {
    const { url, urls, token, caPem } = accessFile.parse(JSON.parse(await readFile(path, 'utf8')));
    const all = url === undefined ? urls : [url, ...urls];
    if (all.length === 0) throw new RangeError('it contains no address');
    return { urls: all, token, ...(caPem === undefined ? {} : { caPem }) };
  } catch (cause) {
    throw new BrambleError(
      'ERR_ADMIN_ACCESS',
      `${path} does not say where the administration service is (${messageOf(cause)}). Start a domain with bramble up, ` +
        'set BRAMBLE_HOME, or give --admin-url and --token.',
      { cause },
    );
  }
}

const activationPassword = z.object({ password: z.string(), activationUrl: z.url() });
export type ActivationPassword = z.infer<typeof activationPassword>;

/** Where a domain has its devices woken. */
export interface PushService {
  readonly url: string;
  /** Trusted there instead of the machine's authorities. */
  readonly caPem?: string;
}

export interface AdministrationClient {
  /** Does nothing where the account is there already. */
  createAccount(name: string): Promise<void>;
  createActivationPassword(account: string): Promise<ActivationPassword>;
  /** Without a url the vendor's. */
  setPush(push: Partial<PushService>): Promise<void>;
  /** `hasCertificate`: of the vendor; whoever sets another push service loses it. */
  push(): Promise<PushService & { readonly hasCertificate: boolean }>;
  /** What `GET /status` says of the domain, as far as it does. */
  domain(): Promise<{ readonly publicUrl?: string; readonly tunnelHost?: string }>;
}

const domainFacts = z.object({ publicUrl: z.string().optional(), tunnelHost: z.string().optional() });
const pushAnswer = z.object({ url: z.string(), caPem: z.string().nullish(), hasCertificate: z.boolean() });
const statusAnswer = z.object({ domain: domainFacts.optional() }).extend(domainFacts.shape);

/** Failures are `BrambleError`s with the service's own code, or ERR_ADMIN_UNREACHABLE. */
export function createAdministrationClient(findAccess: FindAccess, signal: AbortSignal): AdministrationClient {
  const call = async (method: string, path: string, body?: unknown) =>
    await callAny(await findAccess(), signal, method, path, body);
  return {
    async createAccount(name) {
      const { status, value } = await call('POST', '/accounts', { name });
      if (status !== 409) accepted(status, value, `creating account ${name}`);
    },
    async createActivationPassword(account) {
      const path = `/accounts/${encodeURIComponent(account)}/activation-password`;
      const { status, value } = await call('POST', path, {});
      accepted(status, value, `an activation password for ${account}`);
      return activationPassword.parse(value);
    },
    async setPush(push) {
      const { status, value } = await call('PUT', '/push', push);
      accepted(status, value, 'setting the address of the push service');
    },
    async push() {
      const { status, value } = await call('GET', '/push');
      accepted(status, value, 'the settings of the push service');
      const { url, caPem, hasCertificate } = pushAnswer.parse(value);
      return { url, hasCertificate, ...(typeof caPem === 'string' ? { caPem } : {}) };
    },
    async domain() {
      const { status, value } = await call('GET', '/status');
      accepted(status, value, 'the status of the domain');
      const { domain, publicUrl, tunnelHost } = statusAnswer.parse(value);
      const facts = { publicUrl: domain?.publicUrl ?? publicUrl, tunnelHost: domain?.tunnelHost ?? tunnelHost };
      return {
        ...(facts.publicUrl === undefined ? {} : { publicUrl: facts.publicUrl }),
        ...(facts.tunnelHost === undefined ? {} : { tunnelHost: facts.tunnelHost }),
      };
    },
  };
}

const errorAnswer = z.object({ code: z.custom<ErrorCode>(isReceivedCode), message: z.string() });

function accepted(status: number, value: unknown, what: string): void {
  if (status >= 200 && status < 300) return;
  const error = errorAnswer.safeParse(value);
  throw new BrambleError(
    error.success ? error.data.code : 'ERR_ADMIN_ANSWER',
    `The administration service refused ${what}: ${error.success ? error.data.message : `status ${status}`}`,
    { details: { status } },
  );
}

const timeoutMs = 30_000;

interface ApiAnswer {
  readonly status: number;
  readonly value: unknown;
}

/**
 * Asks the next service when one cannot be reached, or is a coordinator or of another release than the domain by now. Every
 * call of this file can be made twice without harm.
 */
async function callAny(
  access: AdministrationAccess,
  signal: AbortSignal,
  method: string,
  path: string,
  body?: unknown,
): Promise<ApiAnswer> {
  let failure: unknown;
  let fenced: ApiAnswer | undefined;
  for (const url of access.urls) {
    try {
      const answer = await callApi(url, access, signal, method, path, body);
      if (errorAnswer.safeParse(answer.value).data?.code !== 'ERR_RELEASE_FENCED') return answer;
      fenced = answer;
    } catch (error) {
      signal.throwIfAborted();
      failure = error;
    }
  }
  if (fenced !== undefined) return fenced;
  throw failure;
}

function callApi(
  base: string,
  access: AdministrationAccess,
  signal: AbortSignal,
  method: string,
  path: string,
  body?: unknown,
): Promise<ApiAnswer> {
  const url = new URL(`/api/v1${path}`, base);
  const content = body === undefined ? undefined : JSON.stringify(body);
  const options = {
    method,
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    headers: {
      authorization: `Bearer ${access.token}`,
      ...(content === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(content) }),
    },
    ...(access.caPem === undefined ? {} : { ca: access.caPem }),
  };
  return new Promise((resolve, reject) => {
    const fail = (cause: unknown): void => {
      const why = `No answer from the administration service at ${base}: ${messageOf(cause)}. Is it running?`;
      reject(new BrambleError('ERR_ADMIN_UNREACHABLE', why, { cause }));
    };
    const outgoing = (url.protocol === 'https:' ? tlsRequest : plainRequest)(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', fail);
      response.on('end', () => {
        try {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode ?? 0, value: text === '' ? undefined : JSON.parse(text) });
        } catch (error) {
          fail(error);
        }
      });
    });
    outgoing.on('error', fail);
    outgoing.end(content);
  });
}
