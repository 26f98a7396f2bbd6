/**
 * The chain over the audit's records, without any database, so that an export can be verified elsewhere the same way:
 *   content = SHA-256(text of the record)
 *   chain   = SHA-256(chain before, newline, number, newline, content), digests in hexadecimal; before the first: 64 zeros
 */

import { createHash } from 'node:crypto';
import { counted } from '../../base/counted.ts';

export interface Head {
  /** How many records are chained. */
  number: number;
  /** Hexadecimal. */
  chain: string;
}

/** A record in its place. */
export interface Seal extends Head {
  content: string;
}

export interface Link extends Seal {
  /** Null when the record is not there. */
  text: string | null;
}

export const emptyHead: Head = { number: 0, chain: '0'.repeat(64) };

export function sealNext(head: Head, text: string): Seal {
  const content = sha256(text);
  const number = head.number + 1;
  return { number, content, chain: chainOf(head.chain, number, content) };
}

type FindingKind =
  | 'changed'
  | 'reordered'
  | 'missing'
  | 'gap'
  | 'broken'
  | 'unsealed'
  | 'truncated'
  | 'head'
  | 'cut'
  | 'signature';

export interface Finding {
  kind: FindingKind;
  /** The record's, if the fault concerns one. */
  number: number | null;
  message: string;
}

/** Maximum number of listed faults; the rest are only counted. */
const maxListed = 100;

/** Follows a chain link by link; each fault is reported once, where it is. */
export class ChainCheck {
  readonly #findings: Finding[] = [];
  readonly #foreign: { number: number; is: string; sealed: string }[] = [];
  readonly #heads: ReadonlyMap<number, ReadonlySet<string>>;
  #count = 0;
  #head: Head;

  /** `heads` are those kept outside; `from` is where the links begin. */
  constructor(heads: readonly Head[] = [], from: Head = emptyHead) {
    this.#head = from;
    const byNumber = new Map<number, Set<string>>();
    for (const { number, chain } of heads) byNumber.set(number, (byNumber.get(number) ?? new Set()).add(chain));
    this.#heads = byNumber;
    if (from.number > 0) this.#compare(from);
  }

  get head(): Head {
    return this.#head;
  }

  add(link: Link): void {
    const { number, content, chain, text } = link;
    const expected = this.#head.number + 1;
    if (number !== expected) {
      const last = number - 1;
      this.find(
        'gap',
        expected,
        `The ${last > expected ? `seals ${expected} to ${last} are` : `seal ${expected} is`} missing.`,
      );
    } else if (chainOf(this.#head.chain, number, content) !== chain) {
      this.find(
        'broken',
        number,
        `Seal ${number} does not continue seal ${number - 1}: one of them was changed or moved.`,
      );
    }
    if (text === null) this.find('missing', number, `The record of seal ${number} is missing.`);
    else if (sha256(text) !== content) this.#foreign.push({ number, is: sha256(text), sealed: content });
    this.#compare(link);
    this.#head = { number, chain };
  }

  #compare({ number, chain }: Head): void {
    for (const kept of this.#heads.get(number) ?? []) {
      if (kept !== chain) {
        this.find('head', number, `Seal ${number} is not the one whose head was stored outside the database.`);
      }
    }
  }

  find(kind: FindingKind, number: number | null, message: string): void {
    this.#count++;
    if (this.#findings.length < maxListed) this.#findings.push({ kind, number, message });
  }

  /** Once, after the last link. */
  finish(): { count: number; findings: Finding[] } {
    const sealed = new Set(this.#foreign.map((record) => record.sealed));
    for (const { number, is } of this.#foreign) {
      if (sealed.has(is)) this.find('reordered', number, `Record ${number} is in the place of another record.`);
      else this.find('changed', number, `Record ${number} was changed after it was sealed.`);
    }
    const beyond = [...this.#heads.keys()].filter((number) => number > this.#head.number);
    if (beyond.length > 0) {
      const last = Math.max(...beyond);
      this.find(
        'truncated',
        last,
        `The chain ends at ${this.#head.number}, but a head of ${counted(last, 'record')} was stored outside the ` +
          'database: the end was cut off, or an older backup was restored.',
      );
    }
    return { count: this.#count, findings: this.#findings };
  }
}

function chainOf(before: string, number: number, content: string): string {
  return sha256(`${before}\n${number}\n${content}`);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
