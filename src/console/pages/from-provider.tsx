/** Back from an OpenID provider: signed in, or told why not. */
import { useEffect, useState } from 'react';
import { signInWords } from '../messages/sign-in.ts';
import { finishAtProvider } from '../openid.ts';
import { Button, Failure, Waiting } from '../parts/controls.tsx';
import { Door } from '../parts/door.tsx';
import { goTo } from '../place.ts';
import { beginSession } from '../session.ts';

/** One answer is sent once, however often this is drawn. */
let sent: { readonly url: string; readonly answer: Promise<string> } | null = null;

export function FromProvider({ url, onDone }: { url: string; onDone: () => void }) {
  const [failure, setFailure] = useState<Error | null>(null);
  useEffect(() => {
    if (sent?.url !== url) sent = { url, answer: finishAtProvider(url) };
    sent.answer
      .then(async (returnTo) => {
        await beginSession();
        goTo(returnTo, { replaces: true });
        onDone();
      })
      .catch(setFailure);
  }, [url, onDone]);
  if (failure === null) return <Waiting what={signInWords.signingIn} />;
  return (
    <Door title={signInWords.signIn}>
      <div className="form">
        <h1>{signInWords.notSignedIn}</h1>
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
