/** Signing in by name and password. */
import { useState } from 'react';
import { signInOperations } from '../../api/sign-in.ts';
import { ask } from '../live/contact.ts';
import { Button, Failure, Field } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { PasswordField } from '../parts/password-field.tsx';
import { beginSession } from '../session.ts';
import { useSubmit } from '../submitting.ts';

export function SignIn() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const { busy, error, submit } = useSubmit(async () => {
    await ask(signInOperations.password, { body: { name, password } });
    await beginSession();
  });
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
    </Door>
  );
}
