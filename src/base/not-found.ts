/** What a request names and does not exist, by kind and name. */
import { BrambleError } from './errors.ts';

export function notFound(what: string, name: string): BrambleError {
  return new BrambleError('ERR_NOT_FOUND', `There is no ${what} "${name}".`, { details: { what, name } });
}
