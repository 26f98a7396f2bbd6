/** Passkeys, by the browser's own means: it has forms in JSON for what it takes and gives. */
import type { AnswerOf } from '../api/operation.ts';
import { passkeyOperations } from '../api/passkeys.ts';
import { ask } from './live/contact.ts';

type Registration = Parameters<typeof ask<typeof passkeyOperations.add>>[1]['body']['credential'];
type Assertion = Parameters<typeof ask<typeof passkeyOperations.signIn>>[1]['body'];

/** Whether this browser has them, in this form. */
export const hasPasskeys = 'PublicKeyCredential' in window && 'parseRequestOptionsFromJSON' in PublicKeyCredential;

/** The step that is left after it. @throws DOMException where the person or the authenticator does not want to */
export async function signInByPasskey(): Promise<AnswerOf<typeof passkeyOperations.signIn>> {
  const options = await ask(passkeyOperations.signInOptions, {});
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON);
  const credential = await navigator.credentials.get({ publicKey });
  return await ask(passkeyOperations.signIn, { body: jsonOf<Assertion>(credential) });
}

/** @throws as {@link signInByPasskey} */
export async function addPasskey(name: string): Promise<void> {
  const options = await ask(passkeyOperations.addOptions, {});
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON);
  const credential = await navigator.credentials.create({ publicKey });
  await ask(passkeyOperations.add, { body: { name, credential: jsonOf<Registration>(credential) } });
}

function jsonOf<Form>(credential: Credential | null): Form {
  return (credential as PublicKeyCredential).toJSON() as Form;
}
