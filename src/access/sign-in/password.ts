/**
 * Passwords of administrators: argon2id, as a PHC string that says how it was made. Invariant: a name that does not exist, or
 * has no password, costs what a wrong password costs; a digest never runs on the event loop, and strangers can make only
 * so many of them wait, none of them where known browsers and sessions have their turns.
 */
import crypto, { type Argon2Parameters, randomBytes, timingSafeEqual } from 'node:crypto';
import { BrambleError } from '../../base/errors.ts';
import { createFairQueue } from '../../base/fair-queue.ts';
import type { Trying } from './try-limits.ts';

/**
 * OWASP's first choice: about 45 ms of one core, and little enough memory beside a heap. Three passes over 64 MiB took
 * seven times as long, which a stranger could make a host of two cores pay again and again.
 */
const cost = { memory: 19_456, passes: 2, parallelism: 1 } as const;
const saltBytes = 16;
const digestBytes = 32;

/** Waiting ones, those of one sender included. */
const maxWaiting = 128;
const maxWaitingOfSender = 6;
/** Whoever had to wait for the database did not work meanwhile. */
const longestRestMs = 250;

/** For whom a password is looked at: a browser or session that is known, or the strangers of a network. */
interface Sender {
  readonly lane: 'known' | 'strangers';
  readonly key: string;
}

export function senderOf({ network, browser }: Pick<Trying, 'network' | 'browser'>): Sender {
  return browser === null
    ? { lane: 'strangers', key: network }
    : { lane: 'known', key: `browser ${browser.toString('base64')}` };
}

export interface Passwords {
  /** The PHC string to store. @throws BrambleError ERR_BUSY */
  digest(password: string, sender: Sender): Promise<string>;
  /**
   * @param stored asked for when it is this one's turn; null costs the same, and matches nothing
   * @throws BrambleError ERR_BUSY
   */
  matches(password: string, stored: () => Promise<string | null>, sender: Sender): Promise<boolean>;
}

/**
 * One digest at a time, and a rest as long behind each: half a core at the most, whatever strangers send. The others, and the threads of
 * names and files, are for what the domain is there for.
 */
export function createPasswords(): Passwords {
  const queue = createFairQueue({
    lanes: ['known', 'strangers'],
    maxInProgress: 1,
    maxPlaces: maxWaiting,
    maxPlacesOfKey: maxWaitingOfSender,
  });

  async function inTurn<Result>({ lane, key }: Sender, work: () => Promise<Result>): Promise<Result> {
    const place = queue.enter(lane, key);
    if (place === undefined) {
      throw new BrambleError('ERR_BUSY', 'Too many passwords are being checked at the moment. Try again in a moment.');
    }
    let beganMs: number | undefined;
    try {
      await place.turn();
      beganMs = performance.now();
      return await work();
    } finally {
      if (beganMs === undefined) place.leave();
      else setTimeout(() => place.leave(), Math.min(longestRestMs, performance.now() - beganMs)).unref();
    }
  }

  return {
    digest: (password, sender) =>
      inTurn(sender, async () => {
        const salt = randomBytes(saltBytes);
        return phcOf(salt, await derive(password, salt, { ...cost, tagLength: digestBytes }));
      }),
    matches: (password, storedNow, sender) =>
      inTurn(sender, async () => {
        const stored = await storedNow();
        const { salt, digest, parameters } = partsOf(stored ?? nobodys);
        const derived = await derive(password, salt, parameters);
        return timingSafeEqual(derived, digest) && stored !== null;
      }),
  };
}

/** Whether a newer digest of the same password is worth storing. */
export function isOutdated(stored: string): boolean {
  return !stored.startsWith(`${head}$`);
}

const head = `$argon2id$v=19$m=${cost.memory},t=${cost.passes},p=${cost.parallelism}`;
const nobodys = phcOf(Buffer.alloc(saltBytes), Buffer.alloc(digestBytes));

function phcOf(salt: Buffer, digest: Buffer): string {
  const plain = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '');
  return `${head}$${plain(salt)}$${plain(digest)}`;
}

type Cost = Omit<Argon2Parameters, 'message' | 'nonce'>;

function partsOf(stored: string): { salt: Buffer; digest: Buffer; parameters: Cost } {
  const match = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=(\d+)\$([^$]+)\$([^$]+)$/.exec(stored);
  if (match === null) throw new BrambleError('ERR_INTERNAL', 'A stored password has a form that is not known.');
  const [, memory, passes, parallelism, salt = '', digest = ''] = match;
  const bytes = Buffer.from(digest, 'base64');
  return {
    salt: Buffer.from(salt, 'base64'),
    digest: bytes,
    parameters: {
      ...{ memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) },
      tagLength: bytes.length,
    },
  };
}

/**
 * By the module’s default export: the import of a name that an old Node.js lacks would end the process before it is told why.
 * Systems differ in how they compose what is typed, such as ü.
 */
function derive(password: string, nonce: Buffer, parameters: Cost): Promise<Buffer> {
  const message = Buffer.from(password.normalize('NFC'));
  return new Promise((resolve, reject) => {
    crypto.argon2('argon2id', { ...parameters, message, nonce }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
