/** The console: who is signed in sees its pages, everybody else the door. */
import { type ComponentType, lazy, Suspense, useEffect, useState } from 'react';
import { Frame } from './frame.tsx';
import { useContact } from './live/contact.ts';
import { followStream } from './live/stream.ts';
import { OneTimeCode } from './pages/one-time-code.tsx';
import { Overview } from './pages/overview.tsx';
import { SignIn } from './pages/sign-in.tsx';
import { Button, Failure, Waiting } from './parts/controls.tsx';
import { Door } from './parts/door.tsx';
import { PageFailure } from './parts/page-failure.tsx';
import { goTo, usePlace } from './place.ts';
import { MeContext, takeCode, useMe } from './session.ts';

const codeOfAddress = takeCode();

/** Each is loaded when it is first opened. */
const pages: Readonly<Record<string, ComponentType>> = {
  '/': Overview,
  '/access': lazy(async () => await import('./pages/access.tsx')),
  '/audit': lazy(async () => await import('./pages/audit.tsx')),
};
const SetUp = lazy(async () => await import('./pages/set-up.tsx'));

export function App() {
  const [code, setCode] = useState(codeOfAddress);
  return code === null ? <Inside /> : <OneTimeCode code={code} onDone={() => setCode(null)} />;
}

function Inside() {
  const contact = useContact();
  const me = useMe();
  const { path } = usePlace();
  const isInside = me.value !== undefined && contact.state !== 'signed-out';
  useEffect(() => (isInside ? followStream() : undefined), [isInside]);
  if (contact.state === 'signed-out') return <SignIn />;
  if (me.value === undefined) {
    if (me.error === null) return <Waiting what="Connecting" />;
    return (
      <Door title="No answer">
        <h1>No answer yet</h1>
        <p className="lead">The administration service is asked again every two seconds.</p>
        <Failure error={me.error} />
      </Door>
    );
  }
  const Page = pages[path] ?? NotFound;
  return (
    <MeContext value={me.value}>
      <Suspense fallback={<Waiting />}>
        {path === '/set-up' ? (
          <SetUp />
        ) : (
          <Frame>
            <PageFailure key={path}>
              <Suspense fallback={<Waiting />}>
                <Page />
              </Suspense>
            </PageFailure>
          </Frame>
        )}
      </Suspense>
    </MeContext>
  );
}

function NotFound() {
  return (
    <div className="empty">
      <h1>There is nothing here</h1>
      <p>This address belongs to no page of the console.</p>
      <Button onClick={() => goTo('/')}>Go to the overview</Button>
    </div>
  );
}
