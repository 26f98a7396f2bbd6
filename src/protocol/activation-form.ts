/**
 * The form that a device posts to `/activate`: account name and password in, enrolment profile out. The router reads
 * the account's name, the instance reads all of it.
 *
 * Invariant: both use this parser, so that the router never forwards a name that the instance would read differently.
 */
import type { ErrorCode } from '../base/error-codes.ts';
import { BrambleError } from '../base/errors.ts';
import { type FormBudget, parseForm } from './form.ts';

export interface ActivationForm {
  /** As it was typed. */
  readonly accountName: string;
  readonly password: string;
  readonly platform: 'apple' | 'agent';
  /** Whether the profile comes signed. */
  readonly signed: boolean;
}

/** Names have 200 characters at most, passwords 64. */
const budget: FormBudget = { maxPairs: 16, maxNameBytes: 64, maxValueBytes: 2048 };

interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

/** The one answer to every refused activation, by router and instance alike: 400. */
export const activationRefusal = {
  code: 'ERR_ACTIVATION_REFUSED',
  message:
    'The account name or the activation password is wrong, or the password has expired or was tried too often. ' +
    'Ask the administrator for a new activation password.',
} as const satisfies Refusal;

/** To another method than POST: 405. */
export const activationMethodRefusal = {
  code: 'ERR_METHOD',
  message: 'Send the account and the password with POST.',
} as const satisfies Refusal;

/** @throws BrambleError ERR_CONTENT_TYPE; ERR_INPUT when it is not readable, or a field is missing. */
export function parseActivationForm(contentType: string | undefined, body: Uint8Array): ActivationForm {
  const given = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (given !== 'application/x-www-form-urlencoded') {
    throw new BrambleError('ERR_CONTENT_TYPE', 'This address accepts application/x-www-form-urlencoded.');
  }
  const form = parseForm(body, budget);
  const [accountName, password, platform = 'apple'] = [form.get('account'), form.get('password'), form.get('platform')];
  if (!accountName || !password || (platform !== 'apple' && platform !== 'agent')) {
    throw new BrambleError('ERR_INPUT', 'The form needs account, password and platform (apple or agent).');
  }
  return { accountName, password, platform, signed: form.get('signed') === '1' };
}
