/** What the new release of an upgrade sent and wrote while it was at work, by account, and its repair after a reversal. */
import * as z from 'zod';
import type { Operations } from './operation.ts';
import { instant, listLimit, name } from './shapes.ts';
import { releasePair } from './upgrade-report.ts';

const counts = z.object({
  handedOut: z.number().describe('Deliveries handed to devices by the new release, or compiled by it.'),
  itPolicies: z.number().describe('Of these; likewise the next three.'),
  serviceBooks: z.number(),
  synchronizations: z.number(),
  identities: z.number(),
  done: z.number(),
  failed: z.number(),
  open: z.number().describe('Compiled by the new release and not settled, whether handed out or not.'),
  commands: z.number().describe('Other commands that its instances handed out.'),
  moves: z.number(),
  changes: z.number().describe('Requests of administrators about the account; in total, about anything.'),
  onDevices: z
    .number()
    .describe('Items that devices have from the new release: no later one was compiled by the old one.'),
  sendingAgain: z.number().describe('Of these, items whose successor is under way.'),
});
export type EffectCounts = z.output<typeof counts>;

const upgradeEffects = z.object({
  id: z.string(),
  release: releasePair,
  state: z.string(),
  since: instant.nullable().describe('When the domain became the new release’s; null if it never did.'),
  until: instant.nullable().describe('When the upgrade ended; null while it is open.'),
  total: counts.nullable().describe('Of all accounts; null on pages behind the first, and for one account.'),
  accounts: z.array(counts.extend({ account: z.string(), instance: z.string() })).describe('By name.'),
  next: z
    .string()
    .nullable()
    .describe('What `after` takes for the next page, also behind a short or empty one; null on the last one.'),
});
export type UpgradeEffects = z.output<typeof upgradeEffects>;
const tag = 'upgrade';

/** Accounts that one page is looked for among: it is short where few of them have effects. */
export const mostLookedThrough = 5_000;

/** Accounts that one request looks at; it holds the upgrade's row meanwhile. */
export const mostSentAgain = 2_000;

export const upgradeEffectOperations = {
  list: {
    right: 'upgrade.read',
    ...{ method: 'GET', path: '/upgrade/effects', tag },
    summary: 'What the new release of the last upgrade sent and wrote, by account',
    query: z.object({
      account: name.optional(),
      after: name.optional().describe('Begins behind this account.'),
      limit: listLimit(1000).default(100),
    }),
    answer: upgradeEffects,
  },
  sendAgain: {
    right: 'upgrade.write',
    ...{ method: 'POST', path: '/upgrade/effects/send-again', tag },
    summary:
      'Have the old release send again what devices have from the new one, under the budget, a number of accounts at a time',
    body: z
      .object({
        accounts: z.array(name).min(1).max(10_000).optional().describe('Default: all that have any of it.'),
        after: name.optional().describe('Begins behind this account.'),
        limit: listLimit(mostSentAgain).optional().describe(`Default: ${mostSentAgain}.`),
      })
      .nullish(),
    answer: z.object({
      accounts: z.number(),
      deliveriesOwed: z.number(),
      left: z
        .object({ accounts: z.number(), instances: z.array(z.string()) })
        .describe(
          'Accounts with anything from the new release whose instances do not run the old one (yet): ask again then.',
        ),
      next: z.string().nullable().describe('What `after` takes for the accounts behind these; null at the end.'),
    }),
  },
} as const satisfies Operations;
