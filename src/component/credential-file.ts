/**
 * Changes of a holder's credential file by its own process: one after the other, each of the file as it is then. Invariant: it
 * always holds a whole credential.
 */
import { writeWholeFile } from '../database/whole-file.ts';
import { credentialPath, readCredential, type SrpCredential } from '../link/credential.ts';

let last: Promise<unknown> = Promise.resolve();

/**
 * @param change what is to be different from the file as it is by then; null for nothing
 * @returns the credential that the file holds now
 * @throws BrambleError ERR_SRP_CREDENTIAL
 */
export async function changeCredential(
  home: string,
  identifier: string,
  change: (present: SrpCredential) => Partial<SrpCredential> | null,
): Promise<{ credential: SrpCredential; isChanged: boolean }> {
  const changed = last.then(async () => {
    const present = await readCredential(home, identifier);
    const different = change(present);
    if (different === null) return { credential: present, isChanged: false };
    const credential = { ...present, ...different };
    await writeWholeFile(credentialPath(home, identifier), `${JSON.stringify(credential, null, 2)}\n`, 'w');
    return { credential, isChanged: true };
  });
  last = changed.catch(() => undefined);
  return await changed;
}
