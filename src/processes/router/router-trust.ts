/**
 * The domain authorities that a router trusts: those in its file, and what the domain's statements have made of them since,
 * which it keeps. Invariant: it begins at its file again after each start, and only a statement that it has verified from there
 * counts or is kept.
 */
import type { KeyObject } from 'node:crypto';
import type { SignedEnvelope } from '../../link/messages.ts';
import {
  authorityFingerprint,
  certificatesIn,
  keysOf,
  pemOf,
  type Trust,
  trustAfter,
  trustIn,
} from '../../link/trusted-authorities.ts';

export class RouterTrust {
  readonly #known: Buffer[];
  readonly #statements: SignedEnvelope[] = [];
  #trust: Trust;
  #keys: readonly KeyObject[];

  constructor(domainAuthorityPem: string, statements: readonly SignedEnvelope[]) {
    this.#trust = trustIn(certificatesIn(domainAuthorityPem));
    this.#keys = keysOf(this.#trust.authorities);
    this.#known = [...this.#trust.authorities];
    this.take(statements);
  }

  get authorities(): readonly Buffer[] {
    return this.#trust.authorities;
  }

  get keys(): readonly KeyObject[] {
    return this.#keys;
  }

  /** Also of those that are trusted no more: what this router itself has kept may be signed by one. */
  get formerKeys(): readonly KeyObject[] {
    return keysOf(this.#known);
  }

  get pem(): string {
    return pemOf(this.authorities);
  }

  get fingerprints(): string[] {
    return this.authorities.map(authorityFingerprint);
  }

  /** Those that counted. */
  get statements(): readonly SignedEnvelope[] {
    return this.#statements;
  }

  /** The domain's statements, in order, also those that are known. Returns whether one of them counted. */
  take(statements: readonly SignedEnvelope[]): boolean {
    const before = this.#statements.length;
    for (const envelope of statements) {
      const next = trustAfter(this.#trust, envelope);
      if (next === null) continue;
      this.#trust = next;
      this.#keys = keysOf(next.authorities);
      this.#known.push(...next.authorities);
      this.#statements.push(envelope);
    }
    return this.#statements.length > before;
  }
}
