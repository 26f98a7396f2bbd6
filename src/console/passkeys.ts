/** Passkeys, by the browser's own means: it has forms in JSON for what it takes and gives. */
import type { AnswerOf } from '../api/operation.ts';
import { passkeyOperations } from '../api/passkeys.ts';
import { ask } from './live/contact.ts';
import { ownWords } from './messages/own-sign-in.ts';
import { signInWords } from './messages/sign-in.ts';

type Registration = Parameters<typeof ask<typeof passkeyOperations.add>>[1]['body']['credential'];
type Assertion = Parameters<typeof ask<typeof passkeyOperations.signIn>>[1]['body'];

/** Whether this browser has them, in this form. */
export const hasPasskeys = 'PublicKeyCredential' in window && 'parseRequestOptionsFromJSON' in PublicKeyCredential;

/** The step that is left after it. @throws Error where the person or the authenticator does not want to */
export async function signInByPasskey(): Promise<AnswerOf<typeof passkeyOperations.signIn>> {
  return await ask(passkeyOperations.signIn, { body: await assertion() });
}

/** That who is signed in is there. @throws as {@link signInByPasskey} */
export async function proveByPasskey(): Promise<void> {
  await ask(passkeyOperations.prove, { body: await assertion() });
}

/** @throws as {@link signInByPasskey} */
export async function addPasskey(name: string): Promise<void> {
  const options = await ask(passkeyOperations.addOptions, {});
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options as PublicKeyCredentialCreationOptionsJSON);
  const credential = await navigator.credentials.create({ publicKey }).catch(inOurWords(ownWords.passkeyFailed));
  await ask(passkeyOperations.add, { body: { name, credential: jsonOf<Registration>(credential) } });
}

async function assertion(): Promise<Assertion> {
  const options = await ask(passkeyOperations.signInOptions, {});
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options as PublicKeyCredentialRequestOptionsJSON);
  const credential = await navigator.credentials.get({ publicKey }).catch(inOurWords(signInWords.passkeyRefused));
  return jsonOf<Assertion>(credential);
}

/** A browser says little about why, so that pages learn nothing by it. */
function inOurWords(message: string): (cause: unknown) => never {
  return (cause) => {
    throw new Error(message, { cause });
  };
}

function jsonOf<Form>(credential: Credential | null): Form {
  return (credential as PublicKeyCredential).toJSON() as Form;
}
