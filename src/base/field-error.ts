/**
 * What is wrong with one field of a request: worded for the field as it was sent, and located in `details.field` for
 * programs.
 */
import { BrambleError } from './errors.ts';
import { plainIssue } from './plain-issue.ts';

export type RequestPart = 'body' | 'querystring' | 'params' | 'headers';

const parts: Readonly<Record<RequestPart, string>> = {
  body: 'The body',
  querystring: 'The query',
  params: 'The path',
  headers: 'The headers',
};

/** ERR_INPUT; `why` follows the field's name, `then` is a further sentence. An empty path means the part itself. */
export function fieldError(part: RequestPart, path: string, why: string, then = ''): BrambleError {
  return new BrambleError('ERR_INPUT', `${path === '' ? parts[part] : path} ${why}.${then === '' ? '' : ` ${then}`}`, {
    details: { field: path === '' ? part : `${part}.${path}` },
  });
}

/** The same for the first issue found in validation. */
export function issueError(
  part: RequestPart,
  issue: { readonly path: readonly PropertyKey[]; readonly message: string } | undefined,
  then = '',
): BrambleError {
  return fieldError(part, (issue?.path ?? []).join('.'), plainIssue(issue?.message ?? 'unknown'), then);
}
