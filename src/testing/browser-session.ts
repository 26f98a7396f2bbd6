/** What a browser adds to requests: its cookies, and which page asks. */
interface BrowserAnswer {
  status: number;
  body: unknown;
  headers: Headers;
}

export interface BrowserSession {
  /** Sends JSON to `/api/v1` as a page of the service does. @param headers that replace those of the browser */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers?: Readonly<Record<string, string>>,
  ): Promise<BrowserAnswer>;
  readonly cookies: Map<string, string>;
}

/** A browser with a page of the service open. @param cookies that it has from before */
export function openBrowser(url: string, cookies = new Map<string, string>()): BrowserSession {
  return {
    cookies,
    call: async (method, path, body, headers = {}) => {
      const response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          origin: url,
          'sec-fetch-site': 'same-origin',
          cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      for (const text of response.headers.getSetCookie()) keep(cookies, text);
      const text = await response.text();
      return { status: response.status, body: text === '' ? null : JSON.parse(text), headers: response.headers };
    },
  };
}

function keep(cookies: Map<string, string>, text: string): void {
  const [pair = '', ...attributes] = text.split('; ');
  const [name = '', value = ''] = pair.split('=', 2);
  if (attributes.includes('Max-Age=0')) cookies.delete(name);
  else cookies.set(name, value);
}
