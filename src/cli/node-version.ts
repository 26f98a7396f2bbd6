/** The Node.js that runs an installed release is whatever its starter chose; `bin/bramble` chooses for a checkout. */
import { BrambleError } from '../base/errors.ts';

/** `bin/bramble` has the same bound. */
const oldest = 24;

/** @throws BrambleError ERR_NODE_TOO_OLD, before a supervisor has taken anything over that it could not run. */
export function assertNodeVersion(version: string): void {
  if (Number(version.split('.')[0]) >= oldest) return;
  throw new BrambleError(
    'ERR_NODE_TOO_OLD',
    `Node.js ${version} is too old: run this with Node.js ${oldest} or later.`,
  );
}
