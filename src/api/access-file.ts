/** `admin.json` in BRAMBLE_HOME: where the administration service is, and a token for it. */
import * as z from 'zod';

export const accessFileShape = z.object({
  url: z.url().optional(),
  urls: z.array(z.url()).default([]),
  token: z.string().min(1),
});
