/** How one signs in oneself: by passkey, or by password with an authenticator beside it. */
import { use, useState } from 'react';
import type { AnswerOf } from '../../api/operation.ts';
import { passkeyOperations } from '../../api/passkeys.ts';
import { signInOperations } from '../../api/sign-in.ts';
import { refresh, useAnswer } from '../live/answers.ts';
import { ask } from '../live/contact.ts';
import { CodeField } from '../parts/code-field.tsx';
import { Badge, Button, Card, CopyText, Failure, Field, Notice } from '../parts/controls.tsx';
import { Confirm, Dialog } from '../parts/dialog.tsx';
import { Icon } from '../parts/icon.tsx';
import { PasswordField } from '../parts/password-field.tsx';
import { ProofField, useProof } from '../parts/proof.tsx';
import { QrCode } from '../parts/qr-code.tsx';
import { Table } from '../parts/table.tsx';
import { Ago, Moment } from '../parts/times.tsx';
import { addPasskey, hasPasskeys } from '../passkeys.ts';
import { MeContext } from '../session.ts';
import { useSubmit } from '../submitting.ts';

export function OwnSignIn() {
  const me = use(MeContext);
  const [open, setOpen] = useState<'password' | 'totp' | 'no-totp' | 'passkey' | null>(null);
  if (me?.kind !== 'administrator') return null;
  const close = (): void => setOpen(null);
  return (
    <Card title="Your sign-in" aside={<p>{me.name}</p>}>
      <div className="row">
        <Badge tone={me.asksTotp ? 'good' : 'warn'}>
          {me.asksTotp ? 'password and authenticator' : 'password alone'}
        </Badge>
        <Button kind="small" onClick={() => setOpen('password')}>
          Change the password
        </Button>
        <Button kind="small" onClick={() => setOpen(me.asksTotp ? 'no-totp' : 'totp')}>
          {me.asksTotp ? 'Remove the authenticator' : 'Add an authenticator'}
        </Button>
      </div>
      {hasPasskeys && <Passkeys onAdd={() => setOpen('passkey')} />}
      {open === 'passkey' && <AddPasskey onClose={close} />}
      {open === 'password' && <ChangePassword onClose={close} />}
      {open === 'totp' && <AddAuthenticator onClose={close} />}
      {open === 'no-totp' && (
        <Confirm
          title="Remove the authenticator?"
          act="Remove it"
          onClose={close}
          onAct={async () => {
            await ask(signInOperations.removeTotp, {});
            await refresh(signInOperations.me);
          }}
        >
          <p>From then on your password alone lets you in. Your recovery codes end with it.</p>
        </Confirm>
      )}
    </Card>
  );
}

type Passkey = AnswerOf<typeof passkeyOperations.list>['passkeys'][number];

function Passkeys({ onAdd }: { onAdd: () => void }) {
  const { value } = useAnswer(passkeyOperations.list, {}, { topics: ['events'] });
  const [removing, setRemoving] = useState<Passkey | null>(null);
  const passkeys = value?.passkeys ?? [];
  return (
    <div className="passkeys">
      {passkeys.length > 0 && (
        <Table
          caption="Your passkeys"
          keyOf={({ id }) => id}
          rows={passkeys}
          columns={[
            { title: 'Passkey', cell: ({ name }) => <strong>{name}</strong> },
            { title: 'For', cell: ({ host }) => host },
            { title: 'Added', cell: ({ createdAt }) => <Moment at={createdAt} /> },
            {
              title: 'Last used',
              cell: ({ usedAt }) => (usedAt === null ? <span className="quiet">never</span> : <Ago at={usedAt} />),
            },
            {
              title: '',
              kind: 'end',
              cell: (passkey) => (
                <Button kind="small" onClick={() => setRemoving(passkey)}>
                  Remove<span className="hidden-text"> the passkey {passkey.name}</span>
                </Button>
              ),
            },
          ]}
        />
      )}
      <Button kind="small" onClick={onAdd}>
        <Icon name="key" size={16} /> Add a passkey
      </Button>
      {removing !== null && (
        <Confirm
          title={`Remove the passkey ${removing.name}?`}
          act="Remove it"
          onClose={() => setRemoving(null)}
          onAct={async () => {
            await ask(passkeyOperations.remove, { params: { id: removing.id } });
            await refresh(passkeyOperations.list);
          }}
        >
          <p>It no longer lets you in. Delete it from the device as well.</p>
        </Confirm>
      )}
    </div>
  );
}

function AddPasskey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const proof = useProof();
  const { busy, error, submit } = useSubmit(async () => {
    await proof.give();
    await addPasskey(name);
    await refresh(passkeyOperations.list);
    onClose();
  });
  return (
    <Dialog title="Add a passkey" onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <p>
          With it your device lets you in, by its screen lock or a security key, without password and code. It is for{' '}
          {location.hostname} alone.
        </p>
        <Field label="Name" hint="Which device or key it is.">
          {(attributes) => (
            <input
              {...attributes}
              autoComplete="off"
              required
              maxLength={100}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <ProofField proof={proof} error={error} />
        <Failure error={error} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" submits busy={busy}>
            Add it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function ChangePassword({ onClose }: { onClose: () => void }) {
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    await ask(signInOperations.setPassword, { body: { current, password } });
    await refresh(signInOperations.listSessions);
    onClose();
  });
  return (
    <Dialog title="Change your password" onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <PasswordField label="Present password" value={current} onChange={setCurrent} />
        <PasswordField label="New password" isNew value={password} onChange={setPassword} />
        <p className="small soft">You are signed out of all other browsers.</p>
        <Failure error={error} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" submits busy={busy}>
            Change it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

type Begun = AnswerOf<typeof signInOperations.beginTotp>;

function AddAuthenticator({ onClose }: { onClose: () => void }) {
  const [begun, setBegun] = useState<Begun | null>(null);
  const [code, setCode] = useState('');
  const [recoveryCodes, setRecoveryCodes] = useState<readonly string[] | null>(null);
  const proof = useProof();
  const { busy, error, submit } = useSubmit(async () => {
    if (begun === null) {
      await proof.give();
      setBegun(await ask(signInOperations.beginTotp, {}));
      return;
    }
    setRecoveryCodes((await ask(signInOperations.confirmTotp, { body: { code } })).recoveryCodes);
    await refresh(signInOperations.me);
  });
  if (recoveryCodes !== null) return <RecoveryCodes codes={recoveryCodes} onClose={onClose} />;
  return (
    <Dialog title="Add an authenticator" onClose={onClose}>
      <form className="form" onSubmit={submit}>
        {begun === null ? (
          <p>
            An app on your phone shows six digits, another six every half minute. They are asked for after your
            password.
          </p>
        ) : (
          <>
            <div className="enrol">
              <QrCode text={begun.uri} what="QR code for the authenticator" />
              <dl>
                <dt>Scan it with the app, or type</dt>
                <dd>
                  <CopyText text={begun.secret} what="the secret" />
                </dd>
              </dl>
            </div>
            <CodeField value={code} hint="That the app shows now." onChange={setCode} />
          </>
        )}
        {begun === null && <ProofField proof={proof} error={error} />}
        <Failure error={error} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" submits busy={busy}>
            {begun === null ? 'Begin' : 'Confirm'}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function RecoveryCodes({ codes, onClose }: { codes: readonly string[]; onClose: () => void }) {
  return (
    <Dialog title="Your recovery codes" onClose={onClose}>
      <div className="form">
        <p>Each lets you in once, in the place of a code, should the app be lost. Keep them where the app is not.</p>
        <CopyText text={codes.join('\n')} what="the recovery codes" />
        <Notice tone="warn">They are shown only now.</Notice>
        <div className="actions">
          <Button kind="main" onClick={onClose}>
            I have kept them
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
