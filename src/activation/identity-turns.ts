/**
 * Turns for requests for identities, whatever their protocol: each costs a signature, and a client that knows a path
 * token can repeat one without limit.
 *
 *   same message, nothing changed since → the answer that it got → or that it is about to get
 *   another message → a place → turn → work → its answer, remembered
 *
 * Invariant: a message is processed once, however often it arrives, even concurrently; each token has one request in
 * progress and few waiting, so that nobody waits for more than one of any other token.
 */
import { createHash } from 'node:crypto';
import { BoundedMap } from '../base/bounded-map.ts';
import { createFairQueue, type FairQueue } from '../base/fair-queue.ts';

/** Requests processed at once: their signatures take half of libuv's four threads. */
const maxInProgress = 2;
/** Requests that wait, in total and per token, including those in progress. */
const maxPlaces = 256;
const maxPlacesOfToken = 4;
/** Remembered answers of one protocol, of some KB each. */
const maxAnswers = 256;

interface IdentityTurn<Answer> {
  readonly answer: Answer;
  /** The situation in which the same message would get this answer again; null if it must not be remembered. */
  readonly situation: string | null;
}

/**
 * The answer that this message was given meanwhile. A request whose situation changed while it waited for its turn finds it by
 * the present situation.
 */
type Recall<Answer> = (situation: string) => Answer | undefined;

export interface IdentityTurns<Answer> {
  /** @param situation what the answer depends on besides the message, as of now */
  take(
    request: { readonly token: string; readonly message: Uint8Array; readonly situation: string },
    work: (recall: Recall<Answer>) => Promise<IdentityTurn<Answer>>,
  ): Promise<Answer | 'busy'>;
}

/** The places of an instance: its protocols share them. */
export function createIdentityPlaces(): FairQueue {
  return createFairQueue({
    ...{ lanes: ['requests'], maxInProgress, maxInProgressOfKey: 1 },
    ...{ maxPlaces, maxPlacesOfKey: maxPlacesOfToken },
  });
}

/** The turns of one protocol. */
export function createIdentityTurns<Answer>(places: FairQueue): IdentityTurns<Answer> {
  /** The least recently requested first. */
  const answers = new BoundedMap<string, IdentityTurn<Answer>>(maxAnswers);
  const underWay = new Map<string, Promise<Answer>>();

  return {
    async take({ token, message, situation }, work) {
      const asked = createHash('sha256').update(token).update(message).digest('base64');
      const recall: Recall<Answer> = (present) => {
        const known = answers.get(asked);
        if (known?.situation !== present) return undefined;
        answers.set(asked, known);
        return known.answer;
      };
      const known = recall(situation);
      if (known !== undefined) return known;
      const running = underWay.get(asked);
      if (running !== undefined) return await running;
      const place = places.enter('requests', token);
      if (place === undefined) return 'busy';
      const working = (async () => {
        try {
          await place.turn();
          const turn = await work(recall);
          if (turn.situation !== null) answers.set(asked, turn);
          return turn.answer;
        } finally {
          place.leave();
          underWay.delete(asked);
        }
      })();
      underWay.set(asked, working);
      return await working;
    },
  };
}
