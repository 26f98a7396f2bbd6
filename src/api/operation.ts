/**
 * What one operation of the administration is, described once: routes serve it, clients call it, the OpenAPI document shows
 * it. Everything here is types and data, so that a browser can load it.
 */
import type * as z from 'zod';

export interface Operation {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Below /api/v1; `:name` stands for the member `name` of `params`. */
  readonly path: `/${string}`;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** Of an answer that is no error; default 200. */
  readonly status?: 201 | 204;
  /** Lenient towards other releases: a client drops keys that it does not know, and a default stands in for those that an earlier one lacks. */
  readonly answer: z.ZodType;
  /** Media type of the body or of the answer, where that is a stream and not JSON. */
  readonly consumes?: string;
  readonly produces?: string;
}

/** The operations of one resource by name. */
export type Operations = Readonly<Record<string, Operation>>;

/** A value that nobody is going to change: rows as they are stored will do. */
export type Unchanged<Value> = Value extends string | Date
  ? Value
  : Value extends readonly (infer Element)[]
    ? readonly Unchanged<Element>[]
    : Value extends object
      ? { readonly [Key in keyof Value]: Unchanged<Value[Key]> }
      : Value;

/** An empty object, as far as types go: what it is assignable to has no member that must be given. */
type Nothing = Record<string, never>;
type Member<Key extends string, Value> = [Nothing] extends [Value]
  ? { readonly [Name in Key]?: Unchanged<Value> }
  : { readonly [Name in Key]: Unchanged<Value> };
type Part<Op extends Operation, Key extends 'params' | 'query' | 'body'> = Op extends {
  readonly [Name in Key]: infer Shape extends z.ZodType;
}
  ? Member<Key, z.input<Shape>>
  : unknown;

/** What a client gives: path parameters, query and body, as far as the operation has them. */
export type RequestOf<Op extends Operation> = Part<Op, 'params'> & Part<Op, 'query'> & Part<Op, 'body'>;

/** What is answered, times as `Date`. */
export type AnswerOf<Op extends Operation> = z.output<Op['answer']>;
