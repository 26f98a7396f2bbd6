/**
 * Where somebody signs in with a one-time code. The code stands behind `#`: a browser keeps that to itself, so it is in no
 * request, log or history of a proxy.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';

/** As whoever serves the console leaves it there. */
const consoleAddressShape = z.object({ url: z.url() });

/** @param otherwise the address to name where this home has no console, as when it is administered from elsewhere */
export async function signInLink(home: string, code: string, otherwise: string): Promise<string> {
  return `${(await consoleAddress(home)) ?? otherwise}/#code=${code}`;
}

/** Undefined where nobody has served it yet. */
export async function consoleAddress(home: string): Promise<string | undefined> {
  try {
    return consoleAddressShape.parse(JSON.parse(await readFile(join(home, 'console.json'), 'utf8'))).url;
  } catch {
    return undefined;
  }
}
