/** Signing in by a one-time code, which is for choosing a password: the first administrator's, or that of who was invited. */
import { useEffect, useState } from 'react';
import type { AnswerOf } from '../../api/operation.ts';
import { signInOperations } from '../../api/sign-in.ts';
import { ask } from '../live/contact.ts';
import { Button, Failure, Field, Waiting } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { PasswordField } from '../parts/password-field.tsx';
import { SetUpSteps } from '../parts/steps.tsx';
import { goTo } from '../place.ts';
import { beginSession } from '../session.ts';
import { useSubmit } from '../submitting.ts';
import { SecondFactor } from './sign-in.tsx';

type Found = AnswerOf<typeof signInOperations.lookAtCode>;

export function OneTimeCode({ code, onDone }: { code: string; onDone: () => void }) {
  const [found, setFound] = useState<Found | null>(null);
  const [failure, setFailure] = useState<Error | null>(null);
  useEffect(() => {
    ask(signInOperations.lookAtCode, { body: { code } }).then(setFound, setFailure);
  }, [code]);
  if (failure !== null) {
    return (
      <Door title="Sign in">
        <h1>This link does not let you in</h1>
        <p className="lead">Each is good for one use, and for a short time.</p>
        <Failure error={failure} />
        <div className="form">
          <div className="actions wide">
            <Button kind="main" onClick={onDone}>
              Sign in another way
            </Button>
          </div>
        </div>
      </Door>
    );
  }
  if (found === null) return <Waiting />;
  return <ChoosePassword code={code} found={found} onDone={onDone} />;
}

function ChoosePassword({ code, found, onDone }: { code: string; found: Found; onDone: () => void }) {
  const isFirst = found.purpose === 'first';
  const [name, setName] = useState(found.name ?? '');
  const [displayName, setDisplayName] = useState('');
  const [password, setPassword] = useState('');
  const [next, setNext] = useState<string | null>(null);
  const { busy, error, submit } = useSubmit(async () => {
    const person = isFirst ? { name, ...(displayName === '' ? {} : { displayName }) } : {};
    const { next } = await ask(signInOperations.code, { body: { code, password, ...person } });
    if (next !== null) {
      setNext(next);
      return;
    }
    await beginSession();
    if (isFirst) goTo('/set-up');
    onDone();
  });
  // The password is chosen; what is left is an ordinary sign-in.
  if (next !== null) return <SecondFactor onBack={onDone} />;
  return (
    <Door title={isFirst ? 'Set up' : 'Sign in'} isWide={isFirst}>
      {isFirst && <SetUpSteps current={0} />}
      <h1>{isFirst ? 'Who are you?' : `Welcome, ${found.name ?? ''}`}</h1>
      <p className="lead">
        {isFirst
          ? 'You become the first administrator of this domain, with all rights. More can be added later.'
          : 'Choose the password with which you sign in from now on.'}
      </p>
      <form className="form" onSubmit={submit}>
        {isFirst ? (
          <>
            <Field label="Name" hint="With which you sign in.">
              {(attributes) => (
                <input
                  {...attributes}
                  autoComplete="username"
                  autoCapitalize="none"
                  spellCheck={false}
                  required
                  maxLength={100}
                  // biome-ignore lint/a11y/noAutofocus: the page is for nothing else
                  autoFocus
                  value={name}
                  onChange={(event) => setName(event.target.value)}
                />
              )}
            </Field>
            <Field label="Full name" hint="Optional; shown to other administrators.">
              {(attributes) => (
                <input
                  {...attributes}
                  autoComplete="name"
                  maxLength={200}
                  value={displayName}
                  onChange={(event) => setDisplayName(event.target.value)}
                />
              )}
            </Field>
          </>
        ) : (
          // A password manager keeps the password under this name.
          <input hidden readOnly autoComplete="username" value={name} />
        )}
        <PasswordField label="Password" isNew value={password} onChange={setPassword} />
        <Failure error={error} />
        <div className="actions wide">
          <Button kind="main" submits busy={busy}>
            {isFirst ? 'Continue' : 'Sign in'}
          </Button>
        </div>
      </form>
    </Door>
  );
}
