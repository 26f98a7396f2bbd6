/**
 * Where the services of this host that answer the administration's REST listen: one file each in
 * `BRAMBLE_HOME/administration/`, without any secret. There the command line finds services that have moved to another
 * port.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as z from 'zod';

/** Of a file there. */
export const serviceAddressShape = z.object({ url: z.url(), processId: z.number().int() });

const folderOf = (home: string): string => join(home, 'administration');

/** Announces the address until the returned function is called; that removes it unless a successor has replaced it. */
export async function announceAddress(home: string, name: string, url: string): Promise<() => Promise<void>> {
  const path = join(folderOf(home), `${name}.json`);
  await mkdir(folderOf(home), { recursive: true });
  await writeFile(path, JSON.stringify({ url, processId: process.pid }));
  return async () => {
    const current = await readAddress(path);
    if (current?.processId === process.pid) await rm(path, { force: true });
  };
}

/** Announced addresses by name of their service. A service may be gone: ask it. */
export async function announcedAddresses(home: string): Promise<string[]> {
  const names = await readdir(folderOf(home)).catch((): string[] => []);
  const found = await Promise.all(
    names
      .filter((name) => name.endsWith('.json'))
      .sort()
      .map((name) => readAddress(join(folderOf(home), name))),
  );
  return found.flatMap((address) => (address === undefined ? [] : [address.url]));
}

/** Undefined for a file that is gone or still being written. */
async function readAddress(path: string): Promise<z.output<typeof serviceAddressShape> | undefined> {
  try {
    return serviceAddressShape.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch {
    return undefined;
  }
}
