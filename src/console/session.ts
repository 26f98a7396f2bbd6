/** Who is signed in, as the service says: what is offered depends on it, and the service decides again each time. */
import { createContext, use } from 'react';
import type { AnswerOf } from '../api/operation.ts';
import type { Right } from '../api/rights.ts';
import { signInOperations } from '../api/sign-in.ts';
import { forgetAnswers, refresh, useAnswer } from './live/answers.ts';
import { ask, isSignedOut, noteSignedOut } from './live/contact.ts';

export type Me = AnswerOf<typeof signInOperations.me>;

/** Asked again often enough that a page which was opened before an upgrade soon knows who serves it. */
export function useMe() {
  return useAnswer(signInOperations.me, {}, { topics: ['upgrade'], everyMs: 5000 });
}

export const MeContext = createContext<Me | null>(null);

export function useRight(right: Right): boolean {
  return use(MeContext)?.rights.includes(right) ?? false;
}

/** After a sign-in: whatever was shown before may have been for somebody else. */
export async function beginSession(): Promise<void> {
  forgetAnswers();
  await refresh(signInOperations.me);
}

export async function signOut(): Promise<void> {
  await ask(signInOperations.signOut, {}).catch((error: unknown) => {
    // It had ended already.
    if (!isSignedOut()) throw error;
  });
  noteSignedOut();
}

/** The one-time code in the address, which is taken out of it at once: it stays in no history and is sent to nobody. */
export function takeCode(): string | null {
  const code = /^#code=([\w-]{10,200})$/.exec(location.hash)?.[1] ?? null;
  if (code !== null) history.replaceState(null, '', location.pathname + location.search);
  return code;
}

// Perhaps somebody has signed in meanwhile, in another tab.
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState === 'visible' && isSignedOut()) void refresh(signInOperations.me);
});
