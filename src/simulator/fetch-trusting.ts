/** `fetch` over TLS to a service whose root is not one of the machine's: Node's own accepts no per-request root. */
import { request } from 'node:https';

/** For texts as bodies. Without a root it is `fetch` itself. */
export function fetchTrusting(caPem: string | undefined): typeof fetch {
  if (caPem === undefined) return fetch;
  return (input, { method = 'GET', headers, body, signal } = {}) =>
    new Promise((resolve, reject) => {
      const options = {
        method,
        headers: Object.fromEntries(new Headers(headers)),
        ca: caPem,
        ...(signal ? { signal } : {}),
      };
      const outgoing = request(String(input), options, (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const content = incoming.statusCode === 204 ? null : Buffer.concat(chunks);
          resolve(new Response(content, { status: incoming.statusCode ?? 502 }));
        });
      });
      outgoing.on('error', reject);
      outgoing.end(typeof body === 'string' ? body : undefined);
    });
}
