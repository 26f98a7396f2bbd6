/** Shapes that several routes share, as OpenAPI shows them. */
import { z } from 'zod';

/** A `Date` in the program, ISO 8601 on the wire. */
export const instant = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
});

export const name = z.string().min(1).max(200);

export const errorBody = z.object({
  code: z.string(),
  message: z.string(),
  details: z.record(z.string(), z.unknown()),
});

/** For answers that say only that it was done. */
export const nothing = z.null().describe('Done; no body.');

/** Any JSON object. */
export const jsonObject = z.record(z.string(), z.unknown());
