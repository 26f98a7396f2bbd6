/** Search over accounts and devices, by the beginnings of what is known of them. */
import * as z from 'zod';
import { maxCursorLength } from '../base/cursor.ts';
import type { Operations } from './operation.ts';
import { next } from './paging.ts';
import { listLimit, word } from './shapes.ts';

const text = z.string().nullable();
const hit = z.object({
  kind: word('account', 'device'),
  field: word('name', 'displayName', 'serialNumber', 'udid', 'model').describe('What begins with the text.'),
  account: z.string().describe('Its name; of a device, that of its account.'),
  displayName: z.string(),
  instance: z.string(),
  device: z
    .object({
      id: z.string(),
      platform: z.string(),
      state: z.string(),
      serialNumber: text,
      udid: text,
      model: text,
    })
    .nullable(),
});
export type SearchHit = z.output<typeof hit>;

export const searchOperations = {
  search: {
    right: 'signed-in',
    ...{ method: 'GET', path: '/search', tag: 'search' },
    summary: 'Find accounts and devices by the beginning of a name, serial number, UDID or model',
    description:
      'Capital letters count as small ones, and no character is a wildcard. Of a display name the last word counts too. Accounts come ' +
      'before devices, each once; what an administrator may not see is not found. A page may have fewer hits than `limit`, or none, ' +
      'although there is a `next`: where thousands of rows were looked at in vain.',
    query: z.object({
      q: z.string().trim().min(1).max(100),
      after: z.string().min(1).max(maxCursorLength).optional().describe('The `next` value of the previous page.'),
      limit: listLimit(200).default(20),
    }),
    answer: z.object({ hits: z.array(hit), next }),
  },
} as const satisfies Operations;
