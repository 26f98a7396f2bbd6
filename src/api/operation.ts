/**
 * The description of one administration operation: routes serve it, clients call it, the OpenAPI document shows it.
 * Everything here is types and data, so that a browser can load it.
 */
import type * as z from 'zod';
import type { SmallList } from './paging.ts';
import type { NeededRight, Right } from './rights.ts';

/**
 * What the path names, which then has to be in the groups, or is unknown; `chosen`: the handler leaves out whatever is not in
 * them; `common`: nothing in it is of an account.
 */
export type Scope = 'account' | 'group' | 'membership' | 'device' | 'command' | 'batch' | 'chosen' | 'common';

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below /api/v1; `:name` stands for the member `name` of `params`. */
  readonly path: `/${string}`;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  /** What an administrator has to have for it. */
  readonly right: NeededRight;
  /** Whether it is open to who owes a second factor: to whoever does, or to who has none to show. */
  readonly withoutFactor?: 'always' | 'enrolment';
  /** Whether it asks a session for a recent proof of who is there, where its right does not say so. */
  readonly proof?: boolean;
  /** Whether the body has a password of an administrator. */
  readonly takesPassword?: true;
  /** What it takes besides, if the body asks for what this right is for; the handler looks. */
  readonly furtherRight?: Right;
  /** How who is limited to groups is held to them; without it, it is not for such administrators. */
  readonly scope?: Scope;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** What it shows has an ETag, or what it changes does, and it takes `If-Match`. */
  readonly revised?: true;
  /** Members of what it shows that stand for a revision, where the thing has none. */
  readonly revisedBy?: readonly string[];
  /** Of an answer that is no error; default 200. */
  readonly status?: 201 | 204;
  /**
   * Lenient towards other releases: a client drops unknown keys, and defaults replace those that an earlier release
   * lacks.
   */
  readonly answer: z.ZodType;
  /** Media type of the body or the answer if that is a stream and not JSON. */
  readonly consumes?: string;
  readonly produces?: string;
  /** How its entries are filtered, sorted and cut into pages, if it is a list of few. */
  readonly list?: SmallList;
  /** What it answers instead, for as long as the client listens, to who asks for this media type. */
  readonly stream?: string;
}

/** The operations of one resource by name. */
export type Operations = Readonly<Record<string, Operation>>;

/** An immutable value: stored rows will do. */
export type Unchanged<Value> = Value extends string | Date
  ? Value
  : Value extends readonly (infer Element)[]
    ? readonly Unchanged<Element>[]
    : Value extends object
      ? { readonly [Key in keyof Value]: Unchanged<Value[Key]> }
      : Value;

/** An empty object type: assignable only to types without required members. */
type Nothing = Record<string, never>;
type Member<Key extends string, Value> = [Nothing] extends [Value]
  ? { readonly [Name in Key]?: Unchanged<Value> }
  : { readonly [Name in Key]: Unchanged<Value> };
type Part<Op extends Operation, Key extends 'params' | 'query' | 'body'> = Op extends {
  readonly [Name in Key]: infer Shape extends z.ZodType;
}
  ? Member<Key, z.input<Shape>>
  : unknown;

/** What a change was decided by: refused if somebody has changed it since. */
type Shown<Op extends Operation> = Op extends { readonly revised: true }
  ? { readonly revision?: number | undefined }
  : unknown;

/** Input of a client: path parameters, query and body, if the operation has them. */
export type RequestOf<Op extends Operation> = Part<Op, 'params'> & Part<Op, 'query'> & Part<Op, 'body'> & Shown<Op>;

/** The answer, times as `Date`. */
export type AnswerOf<Op extends Operation> = z.output<Op['answer']>;
