/** How one signs in oneself: by passkey, or by password with an authenticator beside it. */
import { type ReactNode, use, useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { refresh } from '../live/answers.ts';
import { frameWords } from '../messages/frame.ts';
import { ownWords as say } from '../messages/own-sign-in.ts';
import { words } from '../messages/words.ts';
import { Badge, Button, Card } from '../parts/controls.tsx';
import { Confirm, Dialog } from '../parts/dialog.tsx';
import { PasswordField } from '../parts/fields.tsx';
import { Form } from '../parts/form.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { Setting, Settings } from '../parts/settings.tsx';
import type { Attempt } from '../parts/work.ts';
import { hasPasskeys } from '../passkeys.ts';
import { type Me, MeContext } from '../session.ts';
import { AddAuthenticator, RenewRecoveryCodes } from './authenticator.tsx';
import { Passkeys } from './passkeys.tsx';

type Opened = 'password' | 'totp' | 'no-totp' | 'recovery-codes';

export default function OwnSignIn() {
  const me = use(MeContext);
  if (me === null) return null;
  return (
    <>
      <PageHead title={say.title} lead={say.lead(me.displayName || me.name, me.role ?? frameWords.allRights)} />
      {me.kind === 'administrator' && me.provider === null ? (
        <div className="stack">
          <PasswordAndCode me={me} />
          {hasPasskeys && <Passkeys />}
        </div>
      ) : (
        <p>{me.provider === null ? say.noPerson : say.atProvider(me.provider)}</p>
      )}
    </>
  );
}

function PasswordAndCode({ me }: { me: Me }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const close = (): void => setOpened(null);
  const dialogs: Readonly<Record<Opened, () => ReactNode>> = {
    password: () => <ChangePassword name={me.name} onClose={close} />,
    totp: () => <AddAuthenticator onClose={close} />,
    'no-totp': () => <RemoveAuthenticator onClose={close} />,
    'recovery-codes': () => <RenewRecoveryCodes onClose={close} />,
  };
  return (
    <Card title={say.byPassword}>
      <Settings>
        <Setting title={say.password} hint={say.passwordHint}>
          <Button kind="small" onClick={() => setOpened('password')}>
            {say.change}
            <span className="hidden-text">{words.ofField(say.password)}</span>
          </Button>
        </Setting>
        <Setting
          title={say.authenticator}
          state={<Badge tone={me.asksTotp ? 'good' : 'warn'}>{me.asksTotp ? say.on : say.off}</Badge>}
          hint={me.asksTotp ? say.hasAuthenticator : say.hasNone}
        >
          {me.asksTotp && (
            <Button kind="small" onClick={() => setOpened('recovery-codes')}>
              {say.renew}
            </Button>
          )}
          <Button kind="small" onClick={() => setOpened(me.asksTotp ? 'no-totp' : 'totp')}>
            {me.asksTotp ? say.removeShort : say.add}
            <span className="hidden-text">{words.ofField(say.authenticator)}</span>
          </Button>
        </Setting>
      </Settings>
      {opened !== null && dialogs[opened]()}
    </Card>
  );
}

function ChangePassword({ name, onClose }: { name: string; onClose: () => void }) {
  const [current, setCurrent] = useState('');
  const [password, setPassword] = useState('');
  const send: Attempt = async (ask) => {
    await ask(signInOperations.setPassword, { body: { current, password } });
    await refresh(signInOperations.listSessions);
    onClose();
  };
  return (
    <Dialog title={say.changeTitle} onClose={onClose}>
      <Form act={say.changeDo} other={{ text: words.cancel, onClick: onClose }} onSend={send}>
        {/* A password manager keeps the password under this name. */}
        <input hidden readOnly autoComplete="username" value={name} />
        <PasswordField label={say.current} name="current" value={current} onChange={setCurrent} />
        <PasswordField label={say.new} isNew value={password} onChange={setPassword} />
        <p className="small soft">{say.passwordHint}</p>
      </Form>
    </Dialog>
  );
}

function RemoveAuthenticator({ onClose }: { onClose: () => void }) {
  return (
    <Confirm
      title={say.removeQuestion}
      act={say.remove}
      onClose={onClose}
      onAct={async (ask) => {
        await ask(signInOperations.removeTotp, {});
        await refresh(signInOperations.me);
      }}
    >
      <p>{say.removeCost}</p>
    </Confirm>
  );
}
