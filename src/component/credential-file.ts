/**
 * Changes of a holder's credential file by its own process: one after the other, each of the file as it is then. Invariant: it
 * always holds a whole credential.
 */
import { writeWholeFile } from '../database/whole-file.ts';
import { credentialPath, readCredential, type SrpCredential } from '../link/credential.ts';

let last: Promise<unknown> = Promise.resolve();

/** @throws BrambleError ERR_SRP_CREDENTIAL */
export async function changeCredential(
  home: string,
  identifier: string,
  change: Partial<SrpCredential>,
): Promise<void> {
  const changed = last.then(async () => {
    const present = await readCredential(home, identifier);
    const text = `${JSON.stringify({ ...present, ...change }, null, 2)}\n`;
    await writeWholeFile(credentialPath(home, identifier), text, 'w');
  });
  last = changed.catch(() => undefined);
  await changed;
}
