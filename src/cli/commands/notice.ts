/** `bramble notice`. */
import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
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
import { readPresent } from '../../base/present-file.ts';
import { timeText } from '../../base/time-text.ts';
import { collectNames, unvalidated } from '../arguments.ts';
import { example, type Frame } from '../frame.ts';
import { cell, columns, facts, type Style } from '../text-output.ts';
import { addRemoval } from './removal.ts';

export function addNoticeCommands(program: Command, frame: Frame): void {
  const notices = program
    .command('notice')
    .alias('notices')
    .description('who is told when an upgrade pauses, a host is lost …');
  addList(notices, frame);
  addAdd(notices, frame);
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
    .option(
      '--kinds <kinds>',
      `what it is told, separated by commas: ${noticeKinds.join(', ')} (default: all)`,
      collectNames,
    );
}

function addAdd(notices: Command, frame: Frame): void {
  const adding = notices.command('add').description('have notices sent to a webhook or to mail addresses');
  example(
    targetOptions(
      adding
        .command('webhook <url>')
        .description('send notices to a URL, signed as the Standard Webhooks specification says')
        .requiredOption(
          '--key-file <file>',
          'the key that signs them, whsec_ and base64; a file that does not exist is made, with a new key; - reads it ' +
            'from standard input',
        )
        .option('--ca <file>', 'PEM file with the CA that is trusted instead of the system’s'),
    ).action(async (url: string, flags: TargetFlags & { keyFile: string; ca?: string }, command) => {
      const { keyFile, ca, kinds, name } = flags;
      const caPem = ca === undefined ? undefined : await readInputFile(ca);
      const key = keyFile === '-' ? await typedIn(frame) : await keptKey(keyFile);
      const body = { kind: 'webhook', url, key, caPem, name, kinds: kinds?.map(unvalidated<NoticeKind>) } as const;
      await frame.ask(command, noticeOperations.add, { body }, targetText);
    }),
    'bramble notice add webhook https://hooks.example.org/bramble --key-file hook.key',
  );
}

function targetText({ name, addresses, kinds }: TargetView, style: Style): string {
  return facts(style, [
    ['target', name],
    ['sent to', cell(addresses)],
    ['kinds', kinds === null ? 'all' : cell(kinds)],
  ]);
}

/** For its owner alone. It stays if the request fails: the next one takes it. */
async function keptKey(path: string): Promise<string> {
  const kept = await readPresent(path).catch((cause: unknown) => {
    throw new BrambleError('ERR_INPUT', `"${path}" cannot be read: ${cause instanceof Error ? cause.message : ''}`, {
      cause,
    });
  });
  if (kept !== null) return kept.trim();
  const key = webhookKeyPrefix + randomBytes(32).toString('base64');
  await writeDurably(path, `${key}\n`, { mode: 0o600, flag: 'wx' });
  return key;
}

async function typedIn(frame: Frame): Promise<string> {
  const pieces: string[] = [];
  for await (const piece of frame.input) pieces.push(piece.toString());
  return pieces.join('').trim();
}
