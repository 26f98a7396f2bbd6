/**
 * Whose a token or certificate is: from the cache, or asked of a connected instance in batches.
 *
 * Invariant: an owner comes from an answer that the domain authority signed for this very question, or from the 421 of
 * an instance; questions of one batch are answered or fail together, and no question waits longer than its deadline.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import { messageOf } from '../base/errors.ts';
import { linkPaths, maxRouteQuestions, type RouteAnswer, routeAnswersShape } from '../link/messages.ts';
import { openEnvelope } from '../link/signed-envelope.ts';
import type { Logger } from '../process/logger.ts';
import { exchangeJson } from './link-exchange.ts';
import type { LinkRegistry } from './link-registry.ts';
import { RouteCache } from './route-cache.ts';

export type Route =
  | { kind: 'found'; identifier: string; connectionServices: readonly string[] }
  | { kind: 'unknown' }
  /** No instance could be asked. */
  | { kind: 'unavailable' };

export interface RouteDirectoryOptions {
  links: LinkRegistry;
  authorityKey: KeyObject;
  log: Logger;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** Entries of the cache. Default 200000. */
  capacity?: number;
  /** How long questions gather. Default 2. */
  gatherMs?: number;
  /** For each instance that is asked. Default 2000. */
  askTimeoutMs?: number;
  /** How long an owner is remembered. Default 60000; a moved device is found by the 421 in any case. */
  lifeMs?: number;
  /** How long it is remembered that nobody knows it. Default 2000. */
  unknownLifeMs?: number;
}

interface Question {
  kind: 'token' | 'certificate';
  value: string;
  settle: (route: Route) => void;
}

export class RouteDirectory {
  readonly #options: RouteDirectoryOptions;
  readonly #cache: RouteCache<Route>;
  readonly #asked = new Map<string, Promise<Route>>();
  #gathering: Question[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** Batches asked so far, for the metrics. */
  batches = 0;

  constructor(options: RouteDirectoryOptions) {
    this.#options = options;
    this.#cache = new RouteCache(options.capacity ?? 200_000, options.now);
  }

  get size(): number {
    return this.#cache.size;
  }

  /** What is remembered, without asking; for the hot path. */
  remembered(kind: Question['kind'], value: string): Route | undefined {
    return this.#cache.get(cacheKey(kind, value));
  }

  /** @param maxAgeMs what is remembered for longer is asked again. Never rejects. */
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

  /** An instance said who owns it (421), or not even that. */
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
    this.#gathering.push(question);
    if (this.#gathering.length >= maxRouteQuestions) this.#flush();
    else this.#timer ??= setTimeout(() => this.#flush(), this.#options.gatherMs ?? 2);
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const questions = this.#gathering;
    this.#gathering = [];
    void this.#ask(questions);
  }

  async #ask(questions: readonly Question[]): Promise<void> {
    const answers = await this.#answers(questions);
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
      // Which services serve a device changes without a 421 to tell: remembered as briefly as what is unknown.
      const brief = route.kind === 'unknown' || question.kind === 'certificate';
      const lifeMs = brief ? (this.#options.unknownLifeMs ?? 2000) : (this.#options.lifeMs ?? 60_000);
      this.#cache.set(cacheKey(question.kind, question.value), route, lifeMs);
      question.settle(route);
    }
  }

  /** One instance after the other, until one answers; null when none does. */
  async #answers(questions: readonly Question[]): Promise<Map<string, RouteAnswer> | null> {
    const { links, authorityKey, log } = this.#options;
    const valuesOf = (kind: Question['kind']) => questions.filter((q) => q.kind === kind).map(({ value }) => value);
    for (const link of links.servers()) {
      const nonce = randomBytes(16).toString('base64url');
      this.batches += 1;
      try {
        const envelope = await exchangeJson(
          link.session,
          'POST',
          linkPaths.route,
          { nonce, tokens: valuesOf('token'), certificates: valuesOf('certificate') },
          this.#options.askTimeoutMs ?? 2000,
        );
        const signed = openEnvelope(envelope, routeAnswersShape, authorityKey);
        if (signed.nonce !== nonce) throw new Error('the answer belongs to another question');
        return byKey(signed.answers);
      } catch (error) {
        log.warn({ identifier: link.identifier, error: messageOf(error) }, 'routes not answered; asking the next');
      }
    }
    return null;
  }
}

function byKey(answers: readonly RouteAnswer[]): Map<string, RouteAnswer> {
  const found = new Map<string, RouteAnswer>();
  for (const answer of answers) {
    if (answer.token !== undefined) found.set(cacheKey('token', answer.token), answer);
    if (answer.certificate !== undefined) found.set(cacheKey('certificate', answer.certificate), answer);
  }
  return found;
}

function cacheKey(kind: Question['kind'], value: string): string {
  return kind === 'token' ? value : `certificate ${value}`;
}
