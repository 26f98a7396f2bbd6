/**
 * Finds the owner of a token, a certificate or an account: from the cache, or by asking a connected instance in
 * batches.
 *
 * Invariant: an owner comes from an answer that the domain authority or its route signer signed for this very question, or
 * from the 421 of an instance; questions of one batch are answered or fail together, and no question waits longer than its deadline.
 */
import { randomBytes } from 'node:crypto';
import { messageOf } from '../../base/errors.ts';
import {
  accountQuestionVersion,
  linkPaths,
  maxAccountQuestions,
  maxRouteQuestions,
  type RouteAnswer,
  routeAnswersShape,
} from '../../link/messages.ts';
import { openRoutes } from '../../link/signed-envelope.ts';
import type { Logger } from '../../process/log/logger.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry, RouterLink } from './link-registry.ts';
import { RouteCache } from './route-cache.ts';
import type { RouterTrust } from './router-trust.ts';

export type Route =
  | { kind: 'found'; identifier: string; connectionServices: readonly string[] }
  | { kind: 'unknown' }
  /** No instance could be asked. */
  | { kind: 'unavailable' };

interface RouteDirectoryOptions {
  links: LinkRegistry;
  trust: Pick<RouterTrust, 'keys'>;
  /** By the serial number of a certificate. */
  isRevoked: (serial: string) => boolean;
  log: Logger;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Entries of the cache. Default 200000. */
  capacity?: number;
  /** How long questions are collected into a batch. Default 2. */
  gatherMs?: number;
  /** For each instance that is asked. Default 2000. */
  askTimeoutMs?: number;
  /** How long an owner is remembered. Default 60000; a moved device is found by the 421 in any case. */
  lifeMs?: number;
  /** How long an unknown owner is remembered as unknown. Default 2000. */
  unknownLifeMs?: number;
}

interface Question {
  /** The value of an account is the stored form of its name. */
  kind: 'token' | 'certificate' | 'account';
  value: string;
  settle: (route: Route) => void;
}

/** Questions sent together. Accounts have a separate batch, which not every instance can answer. */
interface Batch {
  readonly maxQuestions: number;
  readonly linkVersion: number;
  questions: Question[];
  timer?: NodeJS.Timeout | undefined;
}

export class RouteDirectory {
  readonly #options: RouteDirectoryOptions;
  readonly #cache: RouteCache<Route>;
  readonly #asked = new Map<string, Promise<Route>>();
  readonly #devices: Batch = { maxQuestions: maxRouteQuestions, linkVersion: 1, questions: [] };
  readonly #accounts: Batch = {
    maxQuestions: maxAccountQuestions,
    linkVersion: accountQuestionVersion,
    questions: [],
  };
  /** Batches sent so far, for the metrics. */
  batches = 0;

  constructor(options: RouteDirectoryOptions) {
    this.#options = options;
    this.#cache = new RouteCache(options.capacity ?? 200_000, options.now);
  }

  get size(): number {
    return this.#cache.size;
  }

  /** The cached answer, without asking; for the hot path. */
  remembered(kind: Question['kind'], value: string): Route | undefined {
    return this.#cache.get(cacheKey(kind, value));
  }

  /** Whether an instance is linked that can be asked for the owner of an account. */
  get knowsAccounts(): boolean {
    return this.#options.links.all().some((link) => link.kind === 'server' && canAnswer(link, this.#accounts));
  }

  /** @param maxAgeMs older entries are asked for again. Never rejects. */
  async find(kind: Question['kind'], value: string, maxAgeMs = Number.POSITIVE_INFINITY): Promise<Route> {
    const key = cacheKey(kind, value);
    const remembered = this.#cache.get(key, maxAgeMs);
    if (remembered) return remembered;
    const asked = this.#asked.get(key);
    if (asked) return await asked;
    const route = new Promise<Route>((settle) => this.#gather({ kind, value, settle }));
    this.#asked.set(key, route);
    try {
      return await route;
    } finally {
      this.#asked.delete(key);
    }
  }

  /** An instance named the owner (421), or did not. */
  learn(token: string, owner: string | null): void {
    const key = cacheKey('token', token);
    if (owner === null) this.#cache.delete(key);
    else {
      this.#cache.set(
        key,
        { kind: 'found', identifier: owner, connectionServices: [] },
        this.#options.lifeMs ?? 60_000,
      );
    }
  }

  /** Forgets the owner of a token, if that was learned longer than `afterMs` ago. */
  forget(token: string, afterMs: number): void {
    const key = cacheKey('token', token);
    if (!this.#cache.get(key, afterMs)) this.#cache.delete(key);
  }

  #gather(question: Question): void {
    const batch = question.kind === 'account' ? this.#accounts : this.#devices;
    batch.questions.push(question);
    if (batch.questions.length >= batch.maxQuestions) this.#flush(batch);
    else batch.timer ??= setTimeout(() => this.#flush(batch), this.#options.gatherMs ?? 2);
  }

  #flush(batch: Batch): void {
    clearTimeout(batch.timer);
    batch.timer = undefined;
    const { questions } = batch;
    batch.questions = [];
    void this.#ask(questions, batch);
  }

  async #ask(questions: readonly Question[], batch: Batch): Promise<void> {
    const answers = await this.#answers(questions, batch);
    for (const question of questions) {
      if (!answers) {
        question.settle({ kind: 'unavailable' });
        continue;
      }
      const answer = answers.get(cacheKey(question.kind, question.value));
      const route: Route =
        answer && answer.identifier !== null
          ? { kind: 'found', identifier: answer.identifier, connectionServices: answer.connectionServices }
          : { kind: 'unknown' };
      this.#remember(question, route);
      question.settle(route);
    }
  }

  #remember({ kind, value }: Question, route: Route): void {
    // Activations are rare, and strangers may ask for any name: they would push devices out of the cache.
    if (kind === 'account') return;
    // No 421 reveals a change of a device's services: they are remembered as briefly as unknown owners.
    const brief = route.kind === 'unknown' || kind === 'certificate';
    const lifeMs = brief ? (this.#options.unknownLifeMs ?? 2000) : (this.#options.lifeMs ?? 60_000);
    this.#cache.set(cacheKey(kind, value), route, lifeMs);
  }

  /** One instance after the other, until one answers; null when none does. */
  async #answers(questions: readonly Question[], batch: Batch): Promise<Map<string, RouteAnswer> | null> {
    const { links, trust, isRevoked, log } = this.#options;
    const valuesOf = (kind: Question['kind']) => questions.filter((q) => q.kind === kind).map(({ value }) => value);
    const accounts = valuesOf('account');
    for (const link of links.servers().filter((server) => canAnswer(server, batch))) {
      const nonce = randomBytes(16).toString('base64url');
      this.batches += 1;
      try {
        const envelope = await exchangeJson(
          link.session,
          'POST',
          linkPaths.route,
          {
            ...{ nonce, tokens: valuesOf('token'), certificates: valuesOf('certificate') },
            ...(accounts.length > 0 && { accounts }),
          },
          this.#options.askTimeoutMs ?? 2000,
        );
        const signed = openRoutes(envelope, routeAnswersShape, trust.keys, isRevoked);
        if (signed.nonce !== nonce) throw new Error('the answer is for another question');
        return byKey(signed.answers);
      } catch (error) {
        log.warn(
          { identifier: link.identifier, error: messageOf(error) },
          'routing question not answered; asking the next instance',
        );
      }
    }
    return null;
  }
}

function canAnswer(link: RouterLink, batch: Batch): boolean {
  return link.linkVersion >= batch.linkVersion;
}

function byKey(answers: readonly RouteAnswer[]): Map<string, RouteAnswer> {
  const found = new Map<string, RouteAnswer>();
  for (const answer of answers) {
    if (answer.token !== undefined) found.set(cacheKey('token', answer.token), answer);
    if (answer.certificate !== undefined) found.set(cacheKey('certificate', answer.certificate), answer);
    if (answer.account !== undefined) found.set(cacheKey('account', answer.account), answer);
  }
  return found;
}

function cacheKey(kind: Question['kind'], value: string): string {
  return kind === 'token' ? value : `${kind} ${value}`;
}
