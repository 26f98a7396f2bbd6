/** Shapes that several routes share, as OpenAPI shows them. */
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

export const errorBody = z.object({
  code: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

/** For answers that say only that it was done. */
export const nothing = z.null().describe('Done; no body.');

/** Any JSON object. */
export const jsonObject = z.record(z.string(), z.unknown());
