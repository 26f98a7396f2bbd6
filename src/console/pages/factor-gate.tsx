/** Before the pages of who owes a second factor: nothing else is answered until he has shown his, or set one up. */
import { type ReactNode, use, useEffect, useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { refresh } from '../live/answers.ts';
import { factorWords as say } from '../messages/sign-in.ts';
import { Button } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { Form } from '../parts/form.tsx';
import { ProofFields, useProof } from '../parts/proof.tsx';
import { Setting, Settings } from '../parts/settings.tsx';
import { hasPasskeys } from '../passkeys.ts';
import { MeContext, signOut } from '../session.ts';
import { AddAuthenticator } from './authenticator.tsx';
import { AddPasskey } from './passkeys.tsx';

export function FactorGate({ children }: { children: ReactNode }) {
  const owes = use(MeContext)?.owes ?? null;
  // Open until what was set up has been read, such as the recovery codes.
  const [isOwing, setOwing] = useState(owes !== null);
  if (owes !== null && !isOwing) setOwing(true);
  if (!isOwing) return children;
  return (
    <Door title={say.title}>
      {owes === 'proof' ? <ShowFactor /> : <SetUpFactor onDone={() => setOwing(false)} />}
      <div className="row gate-foot">
        <Button kind="plain" onClick={() => void signOut().catch(() => undefined)}>
          {say.signOut}
        </Button>
      </div>
    </Door>
  );
}

function ShowFactor() {
  const proof = useProof();
  const done = async (): Promise<void> => await refresh(signInOperations.me);
  return (
    <>
      <h1>{say.show}</h1>
      <Form
        act={say.continue}
        isWide
        onSend={async () => {
          await proof.give();
          await done();
        }}
      >
        <ProofFields proof={proof} why={say.showLead} onProven={() => void done()} />
      </Form>
    </>
  );
}

function SetUpFactor({ onDone }: { onDone: () => void }) {
  const owes = use(MeContext)?.owes ?? null;
  const [opened, setOpened] = useState<'totp' | 'passkey' | null>(null);
  const close = (): void => {
    setOpened(null);
    void refresh(signInOperations.me);
  };
  const isDone = owes === null && opened === null;
  useEffect(() => {
    if (isDone) onDone();
  }, [isDone, onDone]);
  return (
    <>
      <h1>{say.setUp}</h1>
      <p className="lead">{say.setUpLead}</p>
      <Settings>
        <Setting title={say.authenticator} hint={say.authenticatorHint}>
          <Button kind="small" onClick={() => setOpened('totp')}>
            {say.setUpAct}
            <span className="hidden-text">{say.anAuthenticator}</span>
          </Button>
        </Setting>
        {hasPasskeys && (
          <Setting title={say.passkey} hint={say.passkeyHint}>
            <Button kind="small" onClick={() => setOpened('passkey')}>
              {say.setUpAct}
              <span className="hidden-text">{say.aPasskey}</span>
            </Button>
          </Setting>
        )}
      </Settings>
      {opened === 'totp' && <AddAuthenticator onClose={close} />}
      {opened === 'passkey' && <AddPasskey onClose={close} />}
    </>
  );
}
