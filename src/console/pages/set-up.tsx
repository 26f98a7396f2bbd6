/** After the first administrator: the first account, with which a device enrols, and the push certificate, now or later. */
import { useState } from 'react';
import { accountOperations } from '../../api/accounts.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { pushOperations } from '../../api/push.ts';
import { setUpWords } from '../messages/sign-in.ts';
import { words } from '../messages/words.ts';
import { Button, CopyText, Notice } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { TextField } from '../parts/fields.tsx';
import { FileTextField } from '../parts/file-field.tsx';
import { Form } from '../parts/form.tsx';
import { Prose } from '../parts/prose.tsx';
import { QrCode } from '../parts/qr-code.tsx';
import { ShownOnce } from '../parts/shown-once.tsx';
import { SetUpSteps } from '../parts/steps.tsx';
import { dayAndClock } from '../parts/times.tsx';
import type { Attempt } from '../parts/work.ts';
import { goTo } from '../place.ts';

export default function SetUp() {
  const [step, setStep] = useState(1);
  return (
    <Door title={setUpWords.setUp} isWide>
      <SetUpSteps current={step} />
      {step === 1 ? <FirstAccount onDone={() => setStep(2)} /> : <PushCertificate onDone={() => goTo('/')} />}
    </Door>
  );
}

type Activation = AnswerOf<typeof accountOperations.setActivationPassword> & { account: string };

function FirstAccount({ onDone }: { onDone: () => void }) {
  const [name, setName] = useState('');
  const [displayName, setDisplayName] = useState('');
  const [created, setCreated] = useState<string | null>(null);
  const [activation, setActivation] = useState<Activation | null>(null);
  const send: Attempt = async (ask) => {
    if (created !== name) {
      await ask(accountOperations.create, { body: { name, ...(displayName === '' ? {} : { displayName }) } });
      setCreated(name);
    }
    const answer = await ask(accountOperations.setActivationPassword, { params: { name }, body: {} });
    setActivation({ ...answer, account: name });
  };
  if (activation !== null) return <Enrolment activation={activation} onDone={onDone} />;
  return (
    <>
      <h1>{setUpWords.firstAccount}</h1>
      <p className="lead">{setUpWords.firstAccountLead}</p>
      <Form act={setUpWords.createAccount} other={{ text: words.later, onClick: onDone }} onSend={send}>
        <TextField
          label={setUpWords.accountName}
          name="name"
          hint={setUpWords.accountNameHint}
          maxLength={200}
          takesFocus
          value={name}
          onChange={setName}
        />
        <TextField
          label={words.fullName}
          name="displayName"
          hint={words.optional}
          isOptional
          maxLength={200}
          value={displayName}
          onChange={setDisplayName}
        />
      </Form>
    </>
  );
}

function Enrolment({ activation, onDone }: { activation: Activation; onDone: () => void }) {
  const { account, password, expiresAt, activationUrl } = activation;
  return (
    <>
      <h1>{setUpWords.enrol}</h1>
      <p className="lead">{setUpWords.enrolLead}</p>
      <div className="enrol">
        <QrCode text={activationUrl} what={words.qrCodeOf(activationUrl)} />
        <dl>
          <dt>{setUpWords.address}</dt>
          <dd>
            <CopyText text={activationUrl} what={setUpWords.theAddress} />
          </dd>
          <dt>{setUpWords.accountName}</dt>
          <dd>
            <CopyText text={account} what={setUpWords.theAccountName} />
          </dd>
          <dt>{setUpWords.activationPassword}</dt>
          <dd className="stack-tight">
            <ShownOnce text={password} what={setUpWords.theActivationPassword} />
          </dd>
          <dt>{setUpWords.validUntil}</dt>
          <dd>{dayAndClock(expiresAt)}</dd>
        </dl>
      </div>
      <div className="form">
        <div className="actions">
          <Button kind="main" onClick={onDone}>
            {setUpWords.continue}
          </Button>
        </div>
      </div>
    </>
  );
}

function PushCertificate({ onDone }: { onDone: () => void }) {
  const [certificatePem, setCertificate] = useState('');
  const [privateKeyPem, setKey] = useState('');
  const send: Attempt = async (ask) => {
    await ask(pushOperations.change, { query: {}, body: { certificatePem, privateKeyPem } });
    onDone();
  };
  const { pemPlaceholder } = setUpWords;
  return (
    <>
      <h1>{setUpWords.pushCertificate}</h1>
      <p className="lead">{setUpWords.pushLead}</p>
      <Form act={setUpWords.setCertificate} other={{ text: words.later, onClick: onDone }} onSend={send}>
        <FileTextField
          {...{ label: setUpWords.certificate, name: 'certificatePem', placeholder: pemPlaceholder }}
          value={certificatePem}
          onChange={setCertificate}
        />
        <FileTextField
          {...{ label: setUpWords.privateKey, name: 'privateKeyPem', placeholder: pemPlaceholder }}
          value={privateKeyPem}
          onChange={setKey}
        />
        <Notice tone="info">
          <Prose text={setUpWords.aboutCertificate} />
        </Notice>
      </Form>
    </>
  );
}
