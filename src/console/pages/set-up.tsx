/** After the first administrator: the first account, with which a device enrols, and the push certificate, now or later. */
import { type ChangeEvent, useState } from 'react';
import { accountOperations } from '../../api/accounts.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { pushOperations } from '../../api/push.ts';
import { ask } from '../live/contact.ts';
import { Button, CopyText, Failure, Field, Notice } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { QrCode } from '../parts/qr-code.tsx';
import { SetUpSteps } from '../parts/steps.tsx';
import { dayAndClock } from '../parts/times.tsx';
import { goTo } from '../place.ts';
import { useSubmit } from '../submitting.ts';

export default function SetUp() {
  const [step, setStep] = useState(1);
  return (
    <Door title="Set up" isWide>
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
  const { busy, error, submit } = useSubmit(async () => {
    if (created !== name) {
      await ask(accountOperations.create, { body: { name, ...(displayName === '' ? {} : { displayName }) } });
      setCreated(name);
    }
    const answer = await ask(accountOperations.setActivationPassword, { params: { name }, body: {} });
    setActivation({ ...answer, account: name });
  });
  if (activation !== null) return <Enrolment activation={activation} onDone={onDone} />;
  return (
    <>
      <h1>The first user</h1>
      <p className="lead">Devices belong to accounts. With the first one you can try how a device enrols.</p>
      <form className="form" onSubmit={submit}>
        <Field label="Account name" hint="Such as the first part of the mail address.">
          {(attributes) => (
            <input
              {...attributes}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              required
              maxLength={200}
              // biome-ignore lint/a11y/noAutofocus: the page is for nothing else
              autoFocus
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label="Full name" hint="Optional.">
          {(attributes) => (
            <input
              {...attributes}
              autoComplete="off"
              maxLength={200}
              value={displayName}
              onChange={(event) => setDisplayName(event.target.value)}
            />
          )}
        </Field>
        <Failure error={error} />
        <div className="actions">
          <Button onClick={onDone}>Later</Button>
          <Button kind="main" submits busy={busy}>
            Create the account
          </Button>
        </div>
      </form>
    </>
  );
}

function Enrolment({ activation, onDone }: { activation: Activation; onDone: () => void }) {
  const { account, password, expiresAt, activationUrl } = activation;
  return (
    <>
      <h1>Enrol a device</h1>
      <p className="lead">
        Open this address on the device, then enter the account name and the password, which is shown only now.
      </p>
      <div className="enrol">
        <QrCode text={activationUrl} what={`QR code of ${activationUrl}`} />
        <dl>
          <dt>Address</dt>
          <dd>
            <CopyText text={activationUrl} what="the address" />
          </dd>
          <dt>Account name</dt>
          <dd>
            <CopyText text={account} what="the account name" />
          </dd>
          <dt>Activation password</dt>
          <dd>
            <CopyText text={password} what="the activation password" />
          </dd>
          <dt>Valid until</dt>
          <dd>{dayAndClock(expiresAt)}</dd>
        </dl>
      </div>
      <div className="form">
        <div className="actions">
          <Button kind="main" onClick={onDone}>
            Continue
          </Button>
        </div>
      </div>
    </>
  );
}

function PushCertificate({ onDone }: { onDone: () => void }) {
  const [certificatePem, setCertificate] = useState('');
  const [privateKeyPem, setKey] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    await ask(pushOperations.change, { query: {}, body: { certificatePem, privateKeyPem } });
    onDone();
  });
  return (
    <>
      <h1>Push certificate</h1>
      <p className="lead">
        With it Apple’s push service wakes devices. It comes from Apple, for the domain as a whole, and is renewed every
        year.
      </p>
      <form className="form" onSubmit={submit}>
        <PemField label="Certificate (PEM)" value={certificatePem} onChange={setCertificate} />
        <PemField label="Private key (PEM)" value={privateKeyPem} onChange={setKey} />
        <Failure error={error} />
        <Notice tone="info">
          Its topic becomes the domain’s for good: devices keep the one that they enrolled with. Without a certificate
          they enrol all the same, but nothing wakes them. Later:{' '}
          <code>bramble push --certificate FILE --key FILE</code>.
        </Notice>
        <div className="actions">
          <Button onClick={onDone}>Later</Button>
          <Button kind="main" submits busy={busy}>
            Set the certificate
          </Button>
        </div>
      </form>
    </>
  );
}

interface PemFieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
}

function PemField({ label, value, onChange }: PemFieldProps) {
  const read = async ({ target }: ChangeEvent<HTMLInputElement>): Promise<void> => {
    const text = await target.files?.[0]?.text();
    if (text !== undefined) onChange(text.slice(0, 100_000));
  };
  return (
    <Field label={label}>
      {(attributes) => (
        <>
          <textarea
            {...attributes}
            required
            spellCheck={false}
            autoComplete="off"
            placeholder="-----BEGIN …"
            value={value}
            onChange={(event) => onChange(event.target.value)}
          />
          <input type="file" aria-label={`${label}: read a file`} onChange={(event) => void read(event)} />
        </>
      )}
    </Field>
  );
}
