/** `bramble notice`. */
import { randomBytes } from 'node:crypto';
import { type Command, Option } from 'commander';
import {
  type NoticeKind,
  noticeKinds,
  noticeOperations,
  type TargetView,
  webhookKeyPrefix,
} from '../../api/notices.ts';
import { writeDurably } from '../../base/durable-file.ts';
import { BrambleError } from '../../base/errors.ts';
import { readInputFile } from '../../base/input-file.ts';
import { assertNewFile } from '../../base/output-file.ts';
import { readPresent } from '../../base/present-file.ts';
import { shownValue } from '../../base/shown-text.ts';
import { timeText } from '../../base/time-text.ts';
import { collectNames, unvalidated } from '../arguments.ts';
import { exitCode } from '../exit-codes.ts';
import { example, type Frame } from '../frame.ts';
import { typedSecret } from '../secret-input.ts';
import { cell, columns, facts, type Style } from '../text-output.ts';
import { addMailServer } from './notice-mail-server.ts';
import { addRemoval } from './removal.ts';

const keyFileText =
  'the key that signs them, whsec_ and base64; a file that does not exist is made, with a new key; - reads it from ' +
  'standard input';

export function addNoticeCommands(program: Command, frame: Frame, setExitCode: (code: number) => void): void {
  const notices = program
    .command('notice')
    .alias('notices')
    .description('who is told when an upgrade pauses, a host is lost …');
  addList(notices, frame);
  const adding = notices.command('add').description('have notices sent to a webhook or to mail addresses');
  addWebhook(adding, frame);
  addMail(adding, frame);
  addChange(notices, frame);
  addRekey(notices, frame);
  addTest(notices, frame, setExitCode);
  addMailServer(notices, frame);
  addRemoval(notices, frame, {
    usage: 'remove <name>',
    description: 'send no more notices to a target; those that wait for it are dropped',
    operation: noticeOperations.remove,
    done: (name) => `The target ${name} is removed.`,
    example: 'bramble notice remove hooks.example.org',
  });
}

function addList(notices: Command, frame: Frame): void {
  example(
    notices
      .command('list')
      .description('list targets, and how delivery to each stands')
      .action(async (_flags: object, command) => {
        await frame.ask(command, noticeOperations.list, {}, (answer, style) =>
          columns(style, answer.targets, {
            name: (row) => row.name,
            'sent to': (row) => cell(row.addresses),
            kinds: (row) => (row.kinds === null ? 'all' : cell(row.kinds)),
            'last sent': (row) => timeText(row.lastSentAt),
            waiting: (row) => String(row.waiting),
            dropped: (row) => String(row.dropped),
            problem: (row) => problemText(row, style),
          }),
        );
      }),
    'bramble notice list',
  );
}

function problemText({ failures, lastError, retryAt }: TargetView, style: Style): string {
  if (lastError === null) return '-';
  const again = retryAt === null ? '' : `; next try ${timeText(retryAt)}`;
  return style.red(`${failures} failed: ${lastError}${again}`);
}

interface TargetFlags {
  name?: string;
  kinds?: string[];
}

function targetOptions(command: Command): Command {
  return command
    .option('--name <text>', 'name of the target (default: its host or first address)')
    .addOption(kindsOption('--kinds <kinds>', 'what it is told (default: all)'));
}

function kindsOption(flags: string, description: string): Option {
  return new Option(flags, `${description}, separated by commas: ${noticeKinds.join(', ')}`).argParser(collectNames);
}

function addWebhook(adding: Command, frame: Frame): void {
  example(
    targetOptions(
      adding
        .command('webhook <url>')
        .description('send notices to a URL, signed as the Standard Webhooks specification says')
        .requiredOption('--key-file <file>', keyFileText)
        .option('--ca <file>', 'PEM file with the CA that is trusted instead of the system’s'),
    ).action(async (url: string, flags: TargetFlags & { keyFile: string; ca?: string }, command) => {
      const { keyFile, ca, kinds, name } = flags;
      const caPem = ca === undefined ? undefined : await readInputFile(ca);
      const { key, made } = await keyFrom(frame, keyFile);
      const body = { channel: 'webhook', url, key, caPem, name, kinds: kinds?.map(unvalidated<NoticeKind>) } as const;
      await frame.ask(command, noticeOperations.add, { body }, (target, style) =>
        keyedText(targetText(target, style), made ? keyFile : undefined),
      );
    }),
    'bramble notice add webhook https://hooks.example.org/bramble --key-file hook.key',
  );
}

function addMail(adding: Command, frame: Frame): void {
  example(
    targetOptions(
      adding
        .command('mail <addresses...>')
        .description(
          'send notices by mail, one message to all of these; the server is set with `bramble notice mail-server`',
        ),
    ).action(async (addresses: string[], { kinds, name }: TargetFlags, command) => {
      const body = { channel: 'mail', addresses, name, kinds: kinds?.map(unvalidated<NoticeKind>) } as const;
      await frame.ask(command, noticeOperations.add, { body }, targetText);
    }),
    'bramble notice add mail ops@example.org --kinds host-lost,backup-failed',
  );
}

function addChange(notices: Command, frame: Frame): void {
  example(
    notices
      .command('change <name>')
      .description('change what a target is told')
      .addOption(kindsOption('--kinds <kinds>', 'what it is told from now on').conflicts('allKinds'))
      .option('--all-kinds', 'tell it everything, and what later releases have to tell')
      .action(async (name: string, { kinds, allKinds }: { kinds?: string[]; allKinds?: true }, command) => {
        if (kinds === undefined && allKinds === undefined) {
          throw new BrambleError('ERR_USAGE', 'Give --kinds or --all-kinds.');
        }
        const body = { kinds: kinds?.map(unvalidated<NoticeKind>) ?? null };
        await frame.ask(command, noticeOperations.change, { params: { name }, body }, targetText);
      }),
    'bramble notice change hooks.example.org --kinds upgrade-paused,fence-blocked',
  );
}

function addRekey(notices: Command, frame: Frame): void {
  example(
    notices
      .command('rekey <name>')
      .description('sign what a webhook is told with another key; for a day with the former one, too')
      .requiredOption('--key-file <file>', keyFileText)
      .action(async (name: string, { keyFile }: { keyFile: string }, command) => {
        const { key, made } = await keyFrom(frame, keyFile);
        await frame.ask(command, noticeOperations.rekey, { params: { name }, body: { key } }, (target, style) =>
          keyedText(targetText(target, style), made ? keyFile : undefined),
        );
      }),
    'bramble notice rekey hooks.example.org --key-file new-hook.key',
  );
}

function addTest(notices: Command, frame: Frame, setExitCode: (code: number) => void): void {
  example(
    notices
      .command('test <name>')
      .description('send a test notice and show what the other side answered; exits with 1 if it was not delivered')
      .action(async (name: string, _flags: object, command) => {
        const client = await frame.client(command);
        const outcome = await client.call(noticeOperations.test, { params: { name } });
        frame.show(command, outcome, (raw, style) => {
          const { delivered, answer } = shownValue(raw);
          if (delivered) return `${style.green('delivered')}: ${answer}`;
          return (
            `${style.red('not delivered')}: ${answer}\nThe administration service sends it from its host: see whether that ` +
            `reaches the receiver, and try again (\`bramble notice test ${name}\`).`
          );
        });
        if (!outcome.delivered) setExitCode(exitCode.failed);
      }),
    'bramble notice test hooks.example.org',
  );
}

function targetText({ name, addresses, kinds }: TargetView, style: Style): string {
  return facts(style, [
    ['target', name],
    ['sent to', cell(addresses)],
    ['kinds', kinds === null ? 'all' : cell(kinds)],
  ]);
}

/** A new one is for its owner alone. It stays if the request fails: the next one takes it. */
async function keyFrom(frame: Frame, path: string): Promise<{ key: string; made: boolean }> {
  if (path === '-' || (await readPresent(path)) !== null) return { key: await typedSecret(frame, path), made: false };
  const key = webhookKeyPrefix + randomBytes(32).toString('base64');
  await assertNewFile(path, '--key-file');
  await writeDurably(path, `${key}\n`, { mode: 0o600, flag: 'wx' });
  return { key, made: true };
}

function keyedText(text: string, madeIn: string | undefined): string {
  if (madeIn === undefined) return text;
  return `${text}\n\nA new key is in ${madeIn}: give the receiver a copy, which checks the signatures with it.`;
}
