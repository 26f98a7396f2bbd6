/** What gives access to others asks for a recent proof of who sits there: the password once more, or a passkey, in the form itself. */
import { use, useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { ask } from '../live/contact.ts';
import { proofWords } from '../messages/words.ts';
import { proveAtProvider } from '../openid.ts';
import { hasPasskeys, proveByPasskey } from '../passkeys.ts';
import { MeContext } from '../session.ts';
import { Button, Failure } from './controls.tsx';
import { CodeField, PasswordField } from './fields.tsx';
import { Prose } from './prose.tsx';
import { useWork } from './work.ts';

interface Proof {
  readonly password: string;
  readonly setPassword: (password: string) => void;
  /** Of the authenticator, where there is one. */
  readonly code: string;
  readonly setCode: (code: string) => void;
  /** From when the service asks for it until it was good. */
  readonly isAsked: boolean;
  readonly setAsked: (isAsked: boolean) => void;
  /** Before what asks for it. */
  readonly give: () => Promise<void>;
}

export function useProof(): Proof {
  const [password, setPassword] = useState('');
  const [code, setCode] = useState('');
  const [isAsked, setAsked] = useState(false);
  return {
    ...{ password, setPassword, code, setCode, isAsked, setAsked },
    give: async () => {
      if (password === '') return;
      await ask(signInOperations.prove, { body: { password, ...(code === '' ? {} : { code }) } });
      // It holds for a while, and a code is good for once.
      setPassword('');
      setCode('');
    },
  };
}

interface ProofFieldsProps {
  proof: Proof;
  /** After a proof of another kind than what is typed here. */
  onProven: () => void;
  why?: string;
}

/** Shown once the service has asked for a proof. */
export function ProofFields({ proof, onProven, why = proofWords.why }: ProofFieldsProps) {
  const me = use(MeContext);
  const provider = me?.provider ?? null;
  return (
    <div className="proof">
      <p>
        <Prose text={why} />
      </p>
      {provider === null ? (
        <>
          <PasswordField
            label={proofWords.password}
            name="proof"
            takesFocus
            value={proof.password}
            onChange={proof.setPassword}
          />
          {me?.asksTotp === true && <CodeField takesFocus={false} value={proof.code} onChange={proof.setCode} />}
          {hasPasskeys && (
            <OtherProof
              text={proofWords.byPasskey}
              prove={async () => {
                await proveByPasskey();
                onProven();
              }}
            />
          )}
        </>
      ) : (
        <>
          <OtherProof text={proofWords.byProvider} prove={async () => await proveAtProvider(provider)} />
          <p className="small">{proofWords.thenSend}</p>
        </>
      )}
    </div>
  );
}

function OtherProof({ text, prove }: { text: string; prove: () => Promise<void> }) {
  const { busy, error, work } = useWork(prove);
  return (
    <>
      <Button kind="plain" busy={busy} onClick={work}>
        {text}
      </Button>
      <Failure error={error} />
    </>
  );
}
