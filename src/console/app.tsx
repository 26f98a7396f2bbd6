/**
 * The console: who is signed in sees its pages, everybody else the door. Where a session ends by itself, the door stands before
 * the page, whose data is gone; what was typed there is still there for the same administrator.
 */
import { type ComponentType, lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react';
import { Frame } from './frame.tsx';
import { useContact } from './live/contact.ts';
import { followStream } from './live/stream.ts';
import { frameWords } from './messages/frame.ts';
import { signInWords } from './messages/sign-in.ts';
import { takeProviderAnswer } from './openid.ts';
import { FactorGate } from './pages/factor-gate.tsx';
import { FromProvider } from './pages/from-provider.tsx';
import { OneTimeCode } from './pages/one-time-code.tsx';
import { Overview } from './pages/overview.tsx';
import { SignIn } from './pages/sign-in.tsx';
import { Button, Failure, Waiting } from './parts/controls.tsx';
import { Door } from './parts/door.tsx';
import { forgetDrafts } from './parts/draft.ts';
import { PageFailure } from './parts/page-failure.tsx';
import { goTo, pageOf, usePlace } from './place.ts';
import { type Me, MeContext, takeCode, useMe } from './session.ts';

const codeOfAddress = takeCode();
const answerOfAddress = takeProviderAnswer();

/** Each is loaded when it is first opened. */
const pages: Readonly<Record<string, ComponentType>> = {
  '/': Overview,
  '/access': lazy(async () => await import('./pages/access.tsx')),
  '/audit': lazy(async () => await import('./pages/audit.tsx')),
  '/you': lazy(async () => await import('./pages/own-sign-in.tsx')),
};
const SetUp = lazy(async () => await import('./pages/set-up.tsx'));

export function App() {
  const [code, setCode] = useState(codeOfAddress);
  const [answer, setAnswer] = useState(answerOfAddress);
  const forgetAnswer = useCallback(() => setAnswer(null), []);
  if (answer !== null) return <FromProvider url={answer} onDone={forgetAnswer} />;
  return code === null ? <Inside /> : <OneTimeCode code={code} onDone={() => setCode(null)} />;
}

function Inside() {
  const contact = useContact();
  const me = useMe();
  const isSignedOut = contact.state === 'signed-out';
  const known = useRef<Me | undefined>(undefined);
  if (me.value !== undefined) known.current = me.value;
  else if (isSignedOut && contact.byChoice) known.current = undefined;
  const shown = known.current;
  const isInside = me.value !== undefined && !isSignedOut;
  useEffect(() => (isInside ? followStream() : undefined), [isInside]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: what one administrator typed is not for the next one
  useEffect(() => forgetDrafts, [shown?.name]);
  if (shown === undefined) {
    if (isSignedOut) return <Entrance />;
    return me.error === null ? <Waiting what={frameWords.connecting} /> : <NoAnswer error={me.error} />;
  }
  return (
    <>
      <MeContext value={shown} key={shown.name}>
        <FactorGate>
          <Pages />
        </FactorGate>
      </MeContext>
      {isSignedOut && <SignInAgain name={shown.name} />}
    </>
  );
}

function Pages() {
  const { path } = usePlace();
  const page = pageOf(path);
  const Page = pages[page] ?? NotFound;
  return (
    <Suspense fallback={<Waiting />}>
      {page === '/set-up' ? (
        <SetUp />
      ) : (
        <Frame>
          <PageFailure key={page}>
            <Suspense fallback={<Waiting />}>
              <Page />
            </Suspense>
          </PageFailure>
        </Frame>
      )}
    </Suspense>
  );
}

function Entrance() {
  return (
    <Door title={signInWords.signIn}>
      <SignIn />
    </Door>
  );
}

/** Before everything else, dialogs as well, and it cannot be closed: who is there is not known. */
function SignInAgain({ name }: { name: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    element?.querySelector<HTMLInputElement>('[name=password]')?.focus();
    return () => element?.close();
  }, []);
  return (
    <dialog
      ref={dialog}
      className="door-dialog"
      aria-label={signInWords.again}
      onCancel={(event) => event.preventDefault()}
      onClose={({ currentTarget }) => {
        if (currentTarget.isConnected) currentTarget.showModal();
      }}
    >
      <Door title={signInWords.signIn} isInDialog>
        <SignIn knownName={name} />
      </Door>
    </dialog>
  );
}

function NoAnswer({ error }: { error: Error }) {
  return (
    <Door title={frameWords.noAnswer}>
      <h1>{frameWords.noAnswerYet}</h1>
      <p className="lead">{frameWords.askedAgain}</p>
      <Failure error={error} />
    </Door>
  );
}

function NotFound() {
  return (
    <div className="empty">
      <h1>{frameWords.nothingHere}</h1>
      <p>{frameWords.noSuchPage}</p>
      <Button onClick={() => goTo('/')}>{frameWords.toOverview}</Button>
    </div>
  );
}
