/** `bramble events`: what happened, or what happens. */
import { type Command, Option } from 'commander';
import { domainOperations } from '../../api/domain.ts';
import type { StreamMessage } from '../../api/event-stream.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { shownJson, shownText } from '../../base/shown-text.ts';
import { timeText } from '../../base/time-text.ts';
import { collectNames, instant, number } from '../arguments.ts';
import { follow } from '../following.ts';
import { example, type Frame } from '../frame.ts';
import { afterText } from '../paging-words.ts';
import { columns, moreText, type Style } from '../text-output.ts';

interface Flags {
  limit?: number;
  follow?: true;
  topic?: string[];
  kind?: string;
  subject?: string;
  account?: string;
  device?: string;
  instance?: string;
  since?: string;
  until?: string;
  after?: string;
}

const listed = 50;
/** What happened before one begins to follow. */
const before = 10;

export function addEventCommands(program: Command, frame: Frame): void {
  example(
    program
      .command('events')
      .description('what happened, newest first; or what happens, as it happens')
      .option('--limit <number>', 'maximum number of events; of past ones with --follow', number)
      .option('--follow', 'keep showing what happens, the newest last')
      .option('--topic <names>', 'with --follow, what to be told of, with commas between; default all', collectNames)
      .addOption(ofThePast('--kind <kind>', 'only of this kind, such as device-removed'))
      .addOption(ofThePast('--subject <name>', 'only of this exact name or id'))
      .addOption(ofThePast('--account <name>', 'only of this account and its devices'))
      .addOption(ofThePast('--device <id>', 'only of this device'))
      .addOption(ofThePast('--instance <name>', 'only of this instance'))
      .addOption(ofThePast('--since <time>', 'only from this time on, such as 2026-11-25T08:00').argParser(instant))
      .addOption(ofThePast('--until <time>', 'only before this time').argParser(instant))
      .addOption(ofThePast('--after <cursor>', afterText))
      .action(async ({ limit, follow: follows, topic, ...filters }: Flags, command) => {
        if (follows === true) return await followEvents(frame, command, limit ?? before, topic);
        const query = { ...filters, limit: limit ?? listed };
        await frame.ask(
          command,
          domainOperations.listEvents,
          { query },
          (answer, style) => eventTable(answer.events, style) + moreText(style, '--after', answer.next),
        );
      }),
    'bramble events --limit 20',
    'bramble events --account ada --since 2026-11-01',
    'bramble events --follow',
  );
}

type Event = AnswerOf<typeof domainOperations.listEvents>['events'][number];

function ofThePast(flags: string, description: string): Option {
  return new Option(flags, description).conflicts('follow');
}

function eventTable(events: readonly Event[], style: Style): string {
  return columns(style, events, {
    time: (row) => timeText(row.at),
    kind: (row) => row.kind,
    'what happened': (row) => row.message,
  });
}

async function followEvents(
  frame: Frame,
  command: Command,
  limit: number,
  topics: readonly string[] | undefined,
): Promise<void> {
  const query = topics === undefined ? {} : { topics: topics.join(',') };
  const asJson = frame.wantsJson(command);
  /** Numbers of events that were shown out of the list, and may be told once more. */
  let past: Set<number> | undefined;
  const show = (message: StreamMessage): void => {
    if (asJson) frame.print(shownJson(message));
    else if (message.event === undefined || past?.has(message.event) !== true) {
      frame.print(lineOf(message, frame.style));
    }
  };
  await follow({
    open: async (after) => {
      const client = await frame.client(command);
      const told = await client.follow(domainOperations.listEvents, { query }, after);
      if (past !== undefined || asJson) return told;
      // Asked once it is told what comes, so that nothing falls in between.
      const { events } = await client.call(domainOperations.listEvents, { query: { limit } });
      past = new Set(events.map(({ id }) => id));
      for (const event of events.toReversed()) frame.print(pastLineOf(event, frame.style));
      return told;
    },
    show,
    onLost: ({ message }) => frame.errors.write(`${shownText(message)} Looking again.\n`),
  });
}

function pastLineOf({ at, kind, message }: Event, style: Style): string {
  return lineOf({ id: null, topic: 'events', at, kind, message }, style);
}

function lineOf({ topic, at, kind = '', message, subject }: StreamMessage, style: Style): string {
  const time = style.dim(timeText(at));
  if (topic === 'events') return `${time}  ${shownText(kind)}  ${shownText(message ?? '')}`;
  if (topic === 'stream') return style.dim(`${timeText(at)}  ${ofTheStream(kind)}`);
  return `${time}  ${shownText([topic, kind, subject ?? ''].filter((part) => part !== '').join(' '))}`;
}

function ofTheStream(kind: string): string {
  switch (kind) {
    case 'ready':
      return 'live from here on';
    case 'reset':
      return 'something was missed that is not told any more: see `bramble events`';
    case 'behind':
      return 'what has happened since is shown later: the database is not answering, or a long transaction is under way';
    case 'current':
      return 'live again';
    case 'closing':
      return 'the administration service ends; looking for the next one';
    default:
      return shownText(kind);
  }
}
