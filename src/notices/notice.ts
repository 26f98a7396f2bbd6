/** One thing that somebody is told, and how telling it went. */

export interface Notice {
  /** The same in all attempts, so that a receiver can tell a repetition. */
  id: string;
  at: Date;
  /** Of the event. */
  kind: string;
  subject: string | null;
  message: string;
}

/** `answer` is what the other side said, or why it said nothing: one line, without secrets. */
export type Telling =
  | { kind: 'delivered'; answer: string }
  | { kind: 'failed'; answer: string; retryAfterMs?: number | undefined };

/** How long one attempt may take, whatever the other side does. */
export const attemptMs = 20_000;
