/**
 * For tests of what REST refuses, or answers to what no client of ours would send: JSON as it comes. Where the answer
 * is to be one of the operation's shape, the typed client of `api/client.ts` says so.
 */
interface JsonAnswer {
  status: number;
  body: unknown;
}

/** Sends JSON with the token to a service's `/api/v1`, and parses the answer. */
export function jsonCaller({ url, token }: { url: string; token: string }) {
  return async (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<JsonAnswer> => {
    const response = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...headers,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, body: text === '' ? null : JSON.parse(text) };
  };
}
