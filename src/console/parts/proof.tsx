/** What gives access to others asks for a recent proof of who sits there: the password once more, or a passkey, in the form itself. */
import { use, useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { ask } from '../live/contact.ts';
import { proofWords } from '../messages/words.ts';
import { hasPasskeys, proveByPasskey } from '../passkeys.ts';
import { MeContext } from '../session.ts';
import { Button, Notice } from './controls.tsx';
import { CodeField, PasswordField } from './fields.tsx';
import { Prose } from './prose.tsx';

interface Proof {
  readonly password: string;
  readonly setPassword: (password: string) => void;
  /** Of the authenticator, where there is one. */
  readonly code: string;
  readonly setCode: (code: string) => void;
  readonly isGiven: boolean;
  /** Before what asks for it. */
  readonly give: () => Promise<void>;
}

export function useProof(): Proof {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  return {
    ...{ password, setPassword, code, setCode, isGiven: password !== '' },
    give: async () => {
      if (password === '') return;
      await ask(signInOperations.prove, { body: { password, ...(code === '' ? {} : { code }) } });
      // It holds for a while, and a code is good for once.
      setPassword('');
      setCode('');
    },
  };
}

/** Shown once the service has asked for a proof. @param onProven after a proof of another kind than what is typed here */
export function ProofFields({ proof, onProven }: { proof: Proof; onProven: () => void }) {
  const asksTotp = use(MeContext)?.asksTotp ?? false;
  const [failure, setFailure] = useState<Error | null>(null);
  return (
    <div className="proof">
      <p>
        <Prose text={proofWords.why} />
      </p>
      <PasswordField
        label={proofWords.password}
        name="proof"
        takesFocus
        value={proof.password}
        onChange={proof.setPassword}
      />
      {asksTotp && <CodeField takesFocus={false} value={proof.code} onChange={proof.setCode} />}
      {hasPasskeys && (
        <Button kind="plain" onClick={() => void proveByPasskey().then(onProven, setFailure)}>
          {proofWords.byPasskey}
        </Button>
      )}
      {failure !== null && <Notice tone="bad">{failure.message}</Notice>}
    </div>
  );
}
