/** An app that shows codes: added by proving one of them, with recovery codes for when it is lost. */
import { useState } from 'react';
import type { AnswerOf } from '../../api/operation.ts';
import { signInOperations } from '../../api/sign-in.ts';
import { refresh } from '../live/answers.ts';
import { ownWords as say } from '../messages/own-sign-in.ts';
import { words } from '../messages/words.ts';
import { CopyText } from '../parts/controls.tsx';
import { Dialog, DialogEnd, Question } from '../parts/dialog.tsx';
import { CodeField } from '../parts/fields.tsx';
import { Form } from '../parts/form.tsx';
import { QrCode } from '../parts/qr-code.tsx';
import { ShownOnce } from '../parts/shown-once.tsx';
import type { Attempt } from '../parts/work.ts';

type Begun = AnswerOf<typeof signInOperations.beginTotp>;

export function AddAuthenticator({ onClose }: { onClose: () => void }) {
  const [begun, setBegun] = useState<Begun | null>(null);
  const [code, setCode] = useState('');
  const [recoveryCodes, setRecoveryCodes] = useState<readonly string[] | null>(null);
  const send: Attempt = async (ask) => {
    if (begun === null) {
      setBegun(await ask(signInOperations.beginTotp, {}));
      return;
    }
    setRecoveryCodes((await ask(signInOperations.confirmTotp, { body: { code } })).recoveryCodes);
    await refresh(signInOperations.me);
  };
  if (recoveryCodes !== null) return <RecoveryCodes codes={recoveryCodes} onClose={onClose} />;
  return (
    <Dialog title={say.addTitle} onClose={onClose}>
      <Form
        act={begun === null ? say.begin : say.confirm}
        other={{ text: words.cancel, onClick: onClose }}
        onSend={send}
      >
        {begun === null ? (
          <p>{say.addLead}</p>
        ) : (
          <>
            <div className="enrol">
              <QrCode text={begun.uri} what={say.qrCode} />
              <dl>
                <dt>{say.scan}</dt>
                <dd>
                  <CopyText text={begun.secret} what={say.theSecret} />
                </dd>
              </dl>
            </div>
            <CodeField value={code} hint={say.codeHint} onChange={setCode} />
          </>
        )}
      </Form>
    </Dialog>
  );
}

export function RenewRecoveryCodes({ onClose }: { onClose: () => void }) {
  const [codes, setCodes] = useState<readonly string[] | null>(null);
  if (codes !== null) return <RecoveryCodes codes={codes} onClose={onClose} />;
  return (
    <Dialog title={say.renewQuestion} onClose={onClose}>
      <Question
        act={say.renewDo}
        onCancel={onClose}
        onAct={async (ask) => setCodes((await ask(signInOperations.renewRecoveryCodes, {})).recoveryCodes)}
      >
        <p>{say.renewCost}</p>
      </Question>
    </Dialog>
  );
}

function RecoveryCodes({ codes, onClose }: { codes: readonly string[]; onClose: () => void }) {
  return (
    <Dialog title={say.recoveryCodes} onClose={onClose}>
      <div className="form">
        <p>{say.recoveryLead}</p>
        <ShownOnce text={codes.join('\n')} what={say.theRecoveryCodes} warning={say.recoveryWarning} />
        <DialogEnd text={say.saved} onClose={onClose} />
      </div>
    </Dialog>
  );
}
