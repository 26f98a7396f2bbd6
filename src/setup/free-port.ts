/** Ports that a new home is given: chosen once, then kept. */
import { createServer } from 'node:net';
import { BrambleError } from '../base/errors.ts';

/** The preferred port, or another if it is taken (or 0). @throws BrambleError ERR_LISTEN */
export async function freePort(wanted: number, address: string, ...besides: number[]): Promise<number> {
  for (const port of [wanted, 0, 0, 0]) {
    const found = await tryPort(port, address);
    if (found !== null && !besides.includes(found)) return found;
  }
  throw new BrambleError('ERR_LISTEN', `No free port was found on ${address}.`);
}

function tryPort(port: number, address: string): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(null));
    server.listen(port, address, () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === 'object' && bound !== null ? bound.port : null));
    });
  });
}
