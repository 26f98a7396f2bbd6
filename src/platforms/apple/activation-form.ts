/**
 * The form that a device posts to `/activate`: account name and password in, enrolment profile out. The router reads
 * the account's name, the instance reads all of it.
 *
 * Invariant: both use this parser, so that the router never forwards a name that the instance would read differently.
 */
import { BrambleError } from '../../base/errors.ts';
import { type FormBudget, parseForm } from '../../protocol/form.ts';
import type { EnrolmentRequest } from '../protocol.ts';

/** As the database takes it. Which platforms there are is not for this form to say: others may share the protocol. */
const platformName = /^[a-z][a-z0-9-]{0,31}$/;

/** Names have 200 characters at most, passwords 64. */
const budget: FormBudget = { maxPairs: 16, maxNameBytes: 64, maxValueBytes: 2048 };

/** @throws BrambleError ERR_CONTENT_TYPE; ERR_INPUT when it is not readable, or a field is missing. */
export function parseActivationForm(contentType: string | undefined, body: Uint8Array): EnrolmentRequest {
  const given = (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase();
  if (given !== 'application/x-www-form-urlencoded') {
    throw new BrambleError('ERR_CONTENT_TYPE', 'This address accepts application/x-www-form-urlencoded.');
  }
  const form = parseForm(body, budget);
  const [accountName, password, platform = 'apple'] = [form.get('account'), form.get('password'), form.get('platform')];
  if (!accountName || !password || !platformName.test(platform)) {
    throw new BrambleError('ERR_INPUT', 'The form needs account and password, and takes the name of a platform.');
  }
  return { accountName, password, platform, signed: form.get('signed') === '1' };
}
