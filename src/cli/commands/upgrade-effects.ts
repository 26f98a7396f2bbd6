/** `bramble upgrade effects`: what the new release sent and wrote, and its repair after a reversal. */
import type { Command } from 'commander';
import type * as z from 'zod';
import type { AdministrationClient } from '../../api/client.ts';
import { AnsweredError } from '../../api/exchange.ts';
import { type EffectCounts, type UpgradeEffects, upgradeEffectOperations } from '../../api/upgrade-effects.ts';
import { counted } from '../../base/counted.ts';
import { BrambleError } from '../../base/errors.ts';
import { shownValue } from '../../base/shown-text.ts';
import { timeText } from '../../base/time-text.ts';
import { homeFolder } from '../administration-access.ts';
import { number } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { columns, facts, type Style } from '../text-output.ts';

type StepAgain = z.output<typeof upgradeEffectOperations.sendAgain.answer>;
type SentAgain = Omit<StepAgain, 'next'>;

type Query = { account?: string; after?: string; limit: number };

interface Flags {
  sendAgain: boolean;
  after?: string;
  limit: number;
}

export function addUpgradeEffectsCommand(upgrades: Command, frame: Frame): void {
  example(
    upgrades
      .command('effects [account...]')
      .description(
        'what the new release of the last upgrade sent and wrote while it was at work, by account; after a reversal it can ' +
          'be sent again by the previous release',
      )
      .option('--send-again', 'have it sent again, of these accounts or of all, under the budget', false)
      .option('--after <account>', 'begin behind this account')
      .option('--limit <number>', 'maximum number of accounts', number, 100)
      .action(async (accounts: string[], flags: Flags, command) => {
        if (flags.sendAgain) await sendAgain(command, accounts, frame);
        else await list(command, accounts, flags, frame);
      }),
    'bramble upgrade effects --limit 20',
    'bramble upgrade effects --send-again ada bea',
  );
}

async function sendAgain(command: Command, accounts: readonly string[], frame: Frame): Promise<void> {
  try {
    const sent = await sendAllAgain(await frame.client(command), accounts);
    frame.show(command, sent, (value) => sentAgainText(shownValue(value)));
  } catch (error) {
    const release = releaseWithout(error);
    if (release === undefined) throw error;
    throw new BrambleError(
      'ERR_STATE',
      `The administration is of ${release} again, which cannot do this for many. Where moving an account back was not enough, ` +
        '`bramble device resend <id> <item>` sends an item to one device; `bramble device list --account <account>` has its id.',
      { cause: error },
    );
  }
}

/** Step by step. What was owed stays owed if one fails: the same command finds what is left. */
async function sendAllAgain(client: AdministrationClient, accounts: readonly string[]): Promise<SentAgain> {
  const which = accounts.length === 0 ? {} : { accounts: [...accounts] };
  const sum = { accounts: 0, deliveriesOwed: 0, left: { accounts: 0, instances: new Set<string>() } };
  let after: string | null = null;
  do {
    const body: typeof which & { after?: string } = { ...which, ...(after === null ? {} : { after }) };
    const step: StepAgain = await client.call(upgradeEffectOperations.sendAgain, { body });
    sum.accounts += step.accounts;
    sum.deliveriesOwed += step.deliveriesOwed;
    sum.left.accounts += step.left.accounts;
    for (const name of step.left.instances) sum.left.instances.add(name);
    after = step.next;
  } while (after !== null);
  return { ...sum, left: { ...sum.left, instances: [...sum.left.instances].sort() } };
}

async function list(
  command: Command,
  accounts: readonly string[],
  { after, limit }: Flags,
  frame: Frame,
): Promise<void> {
  const [account, ...more] = accounts;
  if (more.length > 0) throw new BrambleError('ERR_USAGE', 'Name one account to list, or none for all of them.');
  const client = await frame.client(command);
  const query: Query = {
    limit,
    ...(account === undefined ? {} : { account }),
    ...(after === undefined ? {} : { after }),
  };
  const show = (effects: UpgradeEffects) =>
    frame.show(command, effects, (value, style) => effectsText(shownValue(value), style));
  try {
    show(await gather(query, async (page) => await client.call(upgradeEffectOperations.list, { query: page })));
  } catch (error) {
    // After a reversal the administration may be of a release without this operation; the database has it all.
    if (!(error instanceof AnsweredError) || error.status !== 404 || error.details['release'] === undefined)
      throw error;
    show(await readFromHome(frame, query));
  }
}

/** As many as were asked for, if there are: pages are short where few accounts have effects. */
async function gather(query: Query, read: (page: Query) => Promise<UpgradeEffects>): Promise<UpgradeEffects> {
  let page = await read(query);
  const { accounts, ...first } = page;
  while (page.next !== null && accounts.length < query.limit) {
    page = await read({ limit: query.limit - accounts.length, after: page.next });
    accounts.push(...page.accounts);
  }
  return { ...first, accounts, next: page.next };
}

function sentAgainText({ accounts, deliveriesOwed, left }: SentAgain): string {
  if (deliveriesOwed + left.accounts === 0) return 'Nothing has to be sent again.';
  const owed = `${counted(deliveriesOwed, 'delivery is', 'deliveries are')} owed to devices of ${counted(accounts, 'account')}.`;
  if (left.accounts === 0) return owed;
  return (
    `${deliveriesOwed === 0 ? 'Nothing is sent again.' : owed} Left out: ${counted(left.accounts, 'account')} at ${left.instances.join(', ')}, not at work in the previous ` +
    'release: repeat this once `bramble status` shows that.'
  );
}

/** The earlier release of a service that lacks the operation. */
function releaseWithout(error: unknown): string | undefined {
  if (!(error instanceof AnsweredError) || error.status !== 404) return undefined;
  const release = error.details['release'];
  return typeof release === 'string' ? release : undefined;
}

async function readFromHome(frame: Frame, query: Query): Promise<UpgradeEffects> {
  const [{ homeDatabase }, { openDatabase }, { readEffects }] = await Promise.all([
    import('../../setup/home-database.ts'),
    import('../../database/connection.ts'),
    import('../../upgrade/operations/effects.ts'),
  ]);
  const { url, host } = await homeDatabase(homeFolder(frame.environment));
  const db = openDatabase(url, { applicationName: `bramble/effects@${host}#${process.pid}`, max: 1 });
  try {
    return await db.begin('isolation level repeatable read read only', (tx) =>
      gather(query, async (page) => await readEffects(tx, page)),
    );
  } finally {
    await db.end({ timeout: 5 });
  }
}

function effectsText({ release, state, since, until, total, accounts, next }: UpgradeEffects, style: Style): string {
  const head: [string, string][] = [
    ['upgrade', `${release.from} → ${release.to}, ${style.bold(state)}`],
    [
      'at work',
      since === null
        ? `${release.to} never was`
        : `from ${timeText(since)} to ${until === null ? 'now' : timeText(until)}`,
    ],
    ...(total === null ? [] : totalFacts(total, { release, state, since })),
  ];
  const table = columns(style, accounts, {
    account: (row) => row.account,
    instance: (row) => row.instance,
    policies: (row) => String(row.itPolicies),
    books: (row) => String(row.serviceBooks),
    syncs: (row) => String(row.synchronizations),
    identities: (row) => String(row.identities),
    'done/failed/open': (row) => `${row.done} / ${row.failed} / ${row.open}`,
    commands: (row) => String(row.commands),
    moves: (row) => String(row.moves),
    changes: (row) => String(row.changes),
    'on devices': (row) => String(row.onDevices),
    'being sent again': (row) => String(row.sendingAgain),
  });
  const more = next === null ? [] : [`More: \`bramble upgrade effects --after ${next}\``];
  return [facts(style, head), ...(accounts.length === 0 ? [] : [table]), ...more].join('\n\n');
}

function totalFacts(
  total: EffectCounts,
  { release, state, since }: Pick<UpgradeEffects, 'release' | 'state' | 'since'>,
): [string, string][] {
  return [
    ['deliveries', `${total.handedOut} handed out: ${sentText(total)}`],
    ['', `${total.done} done, ${total.failed} failed, ${total.open} open`],
    ['commands', `${total.commands} others handed out`],
    ['moves', String(total.moves)],
    [
      'changes',
      `${total.changes} requests: \`bramble audit list${since === null ? '' : ` --since ${since.toISOString()}`}\``,
    ],
    ['on devices', onDevicesText(total, release, state)],
  ];
}

function sentText({ itPolicies, serviceBooks, synchronizations, identities }: EffectCounts): string {
  return [
    counted(itPolicies, 'IT policy'),
    counted(serviceBooks, 'set of service books', 'sets of service books'),
    counted(synchronizations, 'synchronization'),
    counted(identities, 'identity'),
  ].join(', ');
}

/** What a device has of the new release stays until the previous one sends the same again. */
function onDevicesText(
  { onDevices, sendingAgain }: EffectCounts,
  { to }: UpgradeEffects['release'],
  state: string,
): string {
  const has = `${counted(onDevices, 'item')} from ${to}`;
  if (onDevices === 0 || state !== 'reversed') return has;
  const left = onDevices - sendingAgain;
  const again = sendingAgain === 0 ? '' : `, ${sendingAgain} being sent again`;
  return `${has}${again}${left === 0 ? '' : '; `bramble upgrade effects --send-again` replaces them'}`;
}
