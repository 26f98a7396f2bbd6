/** The master keys: which there are, what each seals, and their rotation. Never the keys themselves. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { word } from './shapes.ts';

const masterKeys = z.object({
  state: word('settled', 'begun', 'chosen').describe(
    '`begun`: a new key waits until every process holds it. `chosen`: it seals, and what others sealed is sealed again.',
  ),
  next: z.string().nullable().describe('The key that waits.'),
  waitsFor: z
    .array(z.string())
    .describe(
      'Processes that do not hold the key, or do not seal by it yet; of `settled`, those that still hold a removed one.',
    ),
  keys: z.array(
    z.object({
      id: z.string(),
      seals: z.boolean().describe('What is sealed from now on is sealed by it.'),
      inFile: z.boolean().describe('Whether the file of this service’s home has it.'),
      values: z.number().describe('Values in the database that it has sealed.'),
      places: z.array(z.object({ place: z.string(), count: z.number() })),
    }),
  ),
});
export type MasterKeyList = z.output<typeof masterKeys>;
const tag = 'domain';

export const masterKeyOperations = {
  list: {
    right: 'servers.read',
    ...{
      method: 'GET',
      path: '/master-keys',
      tag,
      summary: 'The master keys, what each seals, and how far a rotation is',
    },
    answer: masterKeys,
  },
  rotate: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/master-keys', tag, summary: 'Make a new master key and rotate to it' },
    description: 'Goes on by itself: once every process holds the key it seals, and every value is sealed again by it.',
    body: z.object({
      silentHosts: z
        .boolean()
        .default(false)
        .describe('Also while a host that joined does not report: the key is offered to it too. Refused otherwise.'),
    }),
    status: 201,
    answer: masterKeys,
  },
  prune: {
    right: 'keys.write',
    ...{ method: 'POST', path: '/master-keys/prune', tag },
    summary: 'Remove the master keys that seal nothing any more, from the files of all homes',
    description: 'From the file of this service’s home at once; its processes do it in the other homes.',
    answer: z.object({
      removed: z.array(z.string()),
      waitsFor: z.array(z.string()).describe('Processes whose homes are not known to have removed them yet.'),
    }),
  },
} as const satisfies Operations;
