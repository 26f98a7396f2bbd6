/**
 * The one rule for names that people type: accounts, groups, instances and connection services. Two spellings of a name
 * never become two accounts: phones capitalise the first letter, and administrators paste blanks.
 */
import { BrambleError } from './errors.ts';

const maxNameLength = 200;
/**
 * Limit on the typed text, before composing: three code units can become one. Composing takes time quadratic in the
 * length of a run of marks (a minute for a megabyte of them), so longer text is not composed at all.
 */
const maxTypedLength = 4 * maxNameLength;

/**
 * The stored form of an account's name: NFC, trimmed, lower case.
 * @throws BrambleError ERR_ACCOUNT_NAME when it is empty, longer than 200 characters, or holds blanks, slashes or
 *   control characters.
 */
export function accountNameOf(text: string): string {
  const name = composed(text).trim().toLowerCase();
  if (!isPlain(name) || /\s/u.test(name)) {
    throw new BrambleError(
      'ERR_ACCOUNT_NAME',
      `"${shown(text)}" cannot be the name of an account: use 1 to ${maxNameLength} characters without blanks, slashes and control characters.`,
    );
  }
  return name;
}

/**
 * The stored form of another name (group, instance, connection service): NFC and trimmed; case matters, and blanks are
 * allowed.
 * @throws BrambleError ERR_NAME
 */
export function plainNameOf(what: string, text: string): string {
  const name = composed(text).trim();
  if (!isPlain(name)) {
    throw new BrambleError(
      'ERR_NAME',
      `"${shown(text)}" cannot be the name of ${what}: use 1 to ${maxNameLength} characters without slashes and control characters.`,
    );
  }
  return name;
}

/** Empty, which is never a valid name, when it is too long. */
function composed(text: string): string {
  return text.length > maxTypedLength ? '' : text.normalize('NFC');
}

function isPlain(name: string): boolean {
  return name.length > 0 && name.length <= maxNameLength && !/[\p{Cc}\p{Cs}\u2028\u2029\ufffe\uffff/\\]/u.test(name);
}

function shown(text: string): string {
  return text.slice(0, 40).replace(/\p{Cc}/gu, '?');
}
