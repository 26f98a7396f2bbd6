/** Signing in: by passkey, or by name and password, then a code where the administrator has an authenticator. */
import { useEffect, useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { ask } from '../live/contact.ts';
import { signInWords } from '../messages/sign-in.ts';
import { words } from '../messages/words.ts';
import { goToProvider } from '../openid.ts';
import { Button, Failure } from '../parts/controls.tsx';
import { CodeField, PasswordField, TextField } from '../parts/fields.tsx';
import { Form } from '../parts/form.tsx';
import { Icon, type IconName } from '../parts/icon.tsx';
import { useWork } from '../parts/work.ts';
import { hasPasskeys, signInByPasskey } from '../passkeys.ts';
import { beginSession } from '../session.ts';

/** @param knownName of whose session ended on this page */
export function SignIn({ knownName }: { knownName?: string }) {
  const [name, setName] = useState(knownName ?? '');
  const [password, setPassword] = useState('');
  const [next, setNext] = useState<string | null>(null);
  const send = async (): Promise<void> => {
    const step = await ask(signInOperations.password, { body: { name, password } });
    if (step.next === null) await beginSession();
    else setNext(step.next);
  };
  if (next !== null) return <SecondFactor onBack={() => setNext(null)} />;
  return (
    <>
      <h1>{knownName === undefined ? signInWords.signIn : signInWords.again}</h1>
      {knownName !== undefined && <p className="lead">{signInWords.sessionEnded(knownName)}</p>}
      <Form act={signInWords.signIn} busyAct={signInWords.signingIn} isWide onSend={send}>
        <TextField
          label={words.name}
          name="name"
          autoComplete="username"
          maxLength={200}
          takesFocus={knownName === undefined}
          value={name}
          onChange={setName}
        />
        <PasswordField label={words.password} value={password} onChange={setPassword} />
      </Form>
      <OtherWays />
    </>
  );
}

/** What the service offers beside the password; until it has said so, what the browser can. */
function OtherWays() {
  const [providers, setProviders] = useState<readonly { name: string; title: string }[]>([]);
  useEffect(() => {
    let isShown = true;
    void ask(signInOperations.ways, {}).then(
      ({ openid }) => isShown && setProviders(openid),
      // Who signs in otherwise is not kept from it.
      () => undefined,
    );
    return () => {
      isShown = false;
    };
  }, []);
  if (!hasPasskeys && providers.length === 0) return null;
  return (
    <div className="other-ways">
      <p className="between">{signInWords.or}</p>
      {providers.map(({ name, title }) => (
        <OtherWay
          key={name}
          text={signInWords.byProvider(title)}
          icon="leave"
          way={async () => await goToProvider(name, location.pathname + location.search)}
        />
      ))}
      {hasPasskeys && (
        <OtherWay
          text={signInWords.byPasskey}
          icon="key"
          way={async () => {
            await signInByPasskey();
            await beginSession();
          }}
        />
      )}
    </div>
  );
}

function OtherWay({ text, icon, way }: { text: string; icon: IconName; way: () => Promise<void> }) {
  const { busy, error, work } = useWork(way);
  return (
    <>
      <Button busy={busy} onClick={work}>
        <Icon name={icon} /> {text}
      </Button>
      <Failure error={error} />
    </>
  );
}

/** Also after a one-time code, whose administrator may have an authenticator. */
export function SecondFactor({ onBack }: { onBack: () => void }) {
  const [code, setCode] = useState('');
  return (
    <>
      <h1>{signInWords.oneMoreStep}</h1>
      <p className="lead">{signInWords.enterCode}</p>
      <Form
        act={signInWords.signIn}
        busyAct={signInWords.signingIn}
        isWide
        other={{ text: words.back, onClick: onBack }}
        onSend={async () => {
          await ask(signInOperations.totp, { body: { code } });
          await beginSession();
        }}
      >
        <CodeField value={code} hint={signInWords.orRecoveryCode} onChange={setCode} />
      </Form>
    </>
  );
}
