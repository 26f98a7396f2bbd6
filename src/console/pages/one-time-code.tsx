/** Signing in by a one-time code, which is for choosing a password: the first administrator's, or that of who was invited. */
import { useEffect, useState } from 'react';
import type { AnswerOf } from '../../api/operation.ts';
import { signInOperations } from '../../api/sign-in.ts';
import { isBrambleError } from '../../base/errors.ts';
import { ask } from '../live/contact.ts';
import { setUpWords, signInWords } from '../messages/sign-in.ts';
import { words } from '../messages/words.ts';
import { Button, Failure, Waiting } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { PasswordField, TextField } from '../parts/fields.tsx';
import { Form } from '../parts/form.tsx';
import { SetUpSteps } from '../parts/steps.tsx';
import { goTo } from '../place.ts';
import { beginSession } from '../session.ts';
import { SecondFactor } from './sign-in.tsx';

type Found = AnswerOf<typeof signInOperations.lookAtCode>;

export function OneTimeCode({ code, onDone }: { code: string; onDone: () => void }) {
  const [found, setFound] = useState<Found | null>(null);
  const [failure, setFailure] = useState<Error | null>(null);
  useEffect(() => {
    ask(signInOperations.lookAtCode, { body: { code } }).then(setFound, setFailure);
  }, [code]);
  if (failure !== null) {
    const isOver = isBrambleError(failure, 'ERR_ONE_TIME_CODE');
    return (
      <Door title={signInWords.signIn}>
        <div className="form">
          <h1>{isOver ? signInWords.linkRefused : signInWords.notSignedIn}</h1>
          {isOver && <p>{signInWords.linkRule}</p>}
          <Failure error={failure} />
          <div className="actions wide">
            <Button kind="main" onClick={onDone}>
              {signInWords.anotherWay}
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
  const send = async (): Promise<void> => {
    const person = isFirst ? { name, ...(displayName === '' ? {} : { displayName }) } : {};
    const step = await ask(signInOperations.code, { body: { code, ...person, password } });
    if (step.next !== null) return setNext(step.next);
    await beginSession();
    if (isFirst) goTo('/set-up');
    onDone();
  };
  if (next !== null) {
    return (
      <Door title={signInWords.signIn}>
        {/* The code is used: what is left is an ordinary sign-in. */}
        <SecondFactor onBack={onDone} />
      </Door>
    );
  }
  return (
    <Door title={isFirst ? setUpWords.setUp : signInWords.signIn} isWide={isFirst}>
      {isFirst && <SetUpSteps current={0} />}
      <h1>{isFirst ? setUpWords.firstAdministrator : signInWords.welcome(found.name ?? '')}</h1>
      <p className="lead">{isFirst ? setUpWords.firstAdministratorLead : signInWords.choosePassword}</p>
      <Form act={isFirst ? setUpWords.continue : signInWords.signIn} isWide onSend={send}>
        {isFirst ? (
          <>
            <TextField
              label={words.name}
              name="name"
              hint={setUpWords.nameHint}
              autoComplete="username"
              takesFocus
              value={name}
              onChange={setName}
            />
            <TextField
              label={words.fullName}
              name="displayName"
              hint={setUpWords.fullNameHint}
              autoComplete="name"
              isOptional
              maxLength={200}
              value={displayName}
              onChange={setDisplayName}
            />
          </>
        ) : (
          // A password manager keeps the password under this name.
          <input hidden readOnly autoComplete="username" value={name} />
        )}
        <PasswordField label={words.password} isNew value={password} onChange={setPassword} />
      </Form>
    </Door>
  );
}
