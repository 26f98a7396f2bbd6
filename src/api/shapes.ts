/** Shapes that several resources share. */
import * as z from 'zod';

/** A `Date` in the program, ISO 8601 on the wire. */
export const instant = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
});

/**
 * The name of an existing object. HTTP clients resolve `.` and `..` in a path as folders, also percent-encoded, so an object
 * that an earlier release gave such a name is addressed with a space before it, which is dropped here.
 */
export const name = z
  .string()
  .min(1)
  .max(200)
  .overwrite((text) => (/^ \.{1,2}$/.test(text) ? text.trimStart() : text));

export const byName = z.object({ name });
export const byId = z.object({ id: z.uuid() });

export const problemMediaType = 'application/problem+json';

/** A failure: problem details of RFC 9457, with what releases before 1.5 answered. */
export const problem = z.object({
  type: z.string().describe('`urn:bramble:` and the code.'),
  title: z.string().describe('The code in words.'),
  status: z.int(),
  detail: z.string().describe('What happened, why, and what to do.'),
  instance: z.string().describe('`urn:uuid:` and the identifier of the request, which the audit has too.'),
  code: z.string().describe('Stable; docs/errors.md explains each.'),
  message: z.string().describe('The same as `detail`.'),
  details: z.record(z.string(), z.unknown()).describe('Facts by code, such as the `field` that does not fit.'),
});

/** For answers that only confirm success. */
export const nothing = z.null().describe('Done; no body.');

/** Any JSON object: what is in it depends on the thing itself, such as the detail of a component or a device's answer. */
export const freeForm = z.record(z.string(), z.unknown());

/** A keyword in an answer: documented as one of these. A later release may use others, so a client accepts any text. */
export function word<const Word extends string>(...words: readonly Word[]) {
  return z.string().meta({ enum: [...words] }) as z.ZodType<Word | (string & Record<never, never>), string>;
}

/** How many entries of a list to return. */
export function listLimit(max: number) {
  return z.coerce.number<number>().int().min(1).max(max);
}

/** Of the names of processes, which also name components and log files. */
export const processName = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'use lower-case letters, digits and hyphens');

/** Of one thing, for `If-Match` in quotation marks. */
export const revision = z.number().optional().describe('In quotation marks, its ETag. None before release 1.5.');

/** The deliveries due after a change. */
export const owedDeliveries = z.object({ deliveriesOwed: z.number() });
