/** What gives access to others asks for a recent proof of who sits there: the password once more, in the form itself. */
import { useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { isBrambleError } from '../../base/errors.ts';
import { ask } from '../live/contact.ts';
import { PasswordField } from './password-field.tsx';

interface Proof {
  readonly password: string;
  readonly setPassword: (password: string) => void;
  /** Before what asks for it. */
  readonly give: () => Promise<void>;
}

export function useProof(): Proof {
  const [password, setPassword] = useState('');
  return {
    ...{ password, setPassword },
    give: async () => {
      if (password !== '') await ask(signInOperations.prove, { body: { password } });
    },
  };
}

/** Shown once the service has asked for a proof. @param error of the last attempt */
export function ProofField({ proof, error }: { proof: Proof; error: Error | null }) {
  if (!isBrambleError(error, 'ERR_PROOF_NEEDED') && proof.password === '') return null;
  return <PasswordField label="Your password" value={proof.password} onChange={proof.setPassword} />;
}
