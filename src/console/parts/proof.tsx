/** What gives access to others asks for a recent proof of who sits there: the password once more, in the form itself. */
import { use, useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { isBrambleError } from '../../base/errors.ts';
import { ask } from '../live/contact.ts';
import { MeContext } from '../session.ts';
import { CodeField } from './code-field.tsx';
import { PasswordField } from './password-field.tsx';

interface Proof {
  readonly password: string;
  readonly setPassword: (password: string) => void;
  /** Of the authenticator, where there is one. */
  readonly code: string;
  readonly setCode: (code: string) => void;
  /** Before what asks for it. */
  readonly give: () => Promise<void>;
}

export function useProof(): Proof {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  return {
    ...{ password, setPassword, code, setCode },
    give: async () => {
      if (password === '') return;
      await ask(signInOperations.prove, { body: { password, ...(code === '' ? {} : { code }) } });
    },
  };
}

/** Shown once the service has asked for a proof. @param error of the last attempt */
export function ProofField({ proof, error }: { proof: Proof; error: Error | null }) {
  const asksTotp = use(MeContext)?.asksTotp ?? false;
  if (!isBrambleError(error, 'ERR_PROOF_NEEDED') && proof.password === '') return null;
  return (
    <>
      <PasswordField label="Your password" value={proof.password} onChange={proof.setPassword} />
      {asksTotp && <CodeField value={proof.code} onChange={proof.setCode} />}
    </>
  );
}
