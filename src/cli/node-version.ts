/** The Node.js that runs an installed release is whatever its starter chose; `bin/bramble` chooses for a checkout. */
import * as crypto from 'node:crypto';
import { BrambleError } from '../base/errors.ts';

/** `bin/bramble` has the same bound: from here on Node.js has argon2, which passwords of administrators take. */
const oldest = [24, 7] as const;

/**
 * @param hasArgon2 builds against an OpenSSL before 3.2 have none
 * @throws BrambleError ERR_NODE_TOO_OLD, before a supervisor has taken anything over that it could not run.
 */
export function assertNodeVersion(version: string, hasArgon2 = 'argon2' in crypto): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    throw new BrambleError(
      'ERR_NODE_TOO_OLD',
      `Node.js ${version} is too old: run this with Node.js ${oldest.join('.')} or later.`,
    );
  }
  if (hasArgon2) return;
  throw new BrambleError(
    'ERR_NODE_TOO_OLD',
    `This Node.js ${version} was built without argon2, which takes OpenSSL 3.2 or later: use a build of nodejs.org, or a later one.`,
  );
}
