/** Signing in: by passkey, or by name and password, then a code where the administrator has an authenticator. */
import { useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { ask } from '../live/contact.ts';
import { CodeField } from '../parts/code-field.tsx';
import { Button, Failure, Field } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { Icon } from '../parts/icon.tsx';
import { PasswordField } from '../parts/password-field.tsx';
import { hasPasskeys, signInByPasskey } from '../passkeys.ts';
import { beginSession } from '../session.ts';
import { useSubmit } from '../submitting.ts';

export function SignIn() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [next, setNext] = useState<string | null>(null);
  const { busy, error, submit } = useSubmit(async () => {
    const step = await ask(signInOperations.password, { body: { name, password } });
    if (step.next === null) await beginSession();
    else setNext(step.next);
  });
  if (next !== null) return <SecondFactor onBack={() => setNext(null)} />;
  return (
    <Door title="Sign in">
      <h1>Sign in</h1>
      <p className="lead">Administer this domain.</p>
      <form className="form" onSubmit={submit}>
        <Field label="Name">
          {(attributes) => (
            <input
              {...attributes}
              autoComplete="username"
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
        <PasswordField label="Password" value={password} onChange={setPassword} />
        <Failure error={error} />
        <div className="actions wide">
          <Button kind="main" submits busy={busy}>
            {busy ? 'Signing in …' : 'Sign in'}
          </Button>
        </div>
      </form>
      {hasPasskeys && <ByPasskey />}
    </Door>
  );
}

function ByPasskey() {
  const { busy, error, submit } = useSubmit(async () => {
    await signInByPasskey();
    await beginSession();
  });
  return (
    <form className="form by-passkey" onSubmit={submit}>
      <p className="between">or</p>
      <Failure error={error} />
      <div className="actions wide">
        <Button submits busy={busy}>
          <Icon name="key" /> Sign in with a passkey
        </Button>
      </div>
    </form>
  );
}

/** Also after a one-time code, whose administrator may have an authenticator. */
export function SecondFactor({ onBack }: { onBack: () => void }) {
  const [code, setCode] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    await ask(signInOperations.totp, { body: { code } });
    await beginSession();
  });
  return (
    <Door title="Sign in">
      <h1>One more step</h1>
      <p className="lead">Enter the six digits that your authenticator shows now.</p>
      <form className="form" onSubmit={submit}>
        <CodeField value={code} hint="Without it, one of your recovery codes." onChange={setCode} />
        <Failure error={error} />
        <div className="actions wide">
          <Button onClick={onBack}>Back</Button>
          <Button kind="main" submits busy={busy}>
            Sign in
          </Button>
        </div>
      </form>
    </Door>
  );
}
