/**
 * What is told live, as server-sent events (`GET /events` with `Accept: text/event-stream`): the shape of a message, and
 * reading them. A browser can load it.
 */
import * as z from 'zod';
import { jsonOrUndefined } from '../base/shallow-json.ts';
import type { Right } from './rights.ts';
import { instant, word } from './shapes.ts';

/** What a message can be about, and what it takes to be told. All but `events` only say that something has changed. */
export const topicRights = {
  events: 'events.read',
  accounts: 'accounts.read',
  devices: 'devices.read',
  deliveries: 'deliveries.read',
  moves: 'moves.read',
  policies: 'policies.read',
  components: 'status.read',
  upgrade: 'status.read',
  figures: 'figures.read',
} as const satisfies Record<string, Right>;
export type StreamTopic = keyof typeof topicRights;
export const streamTopics = Object.keys(topicRights) as readonly StreamTopic[];

/** As it is asked for: names separated by commas. */
export const topicList = z.string().refine((text) => text.split(',').every((topic) => isTopic(topic)), {
  error: `names topics that are not known; known are ${streamTopics.join(', ')}`,
});

export function topicsOf(list: string): readonly StreamTopic[] {
  return list.split(',').filter((topic) => isTopic(topic));
}

function isTopic(text: string): text is StreamTopic {
  return (streamTopics as readonly string[]).includes(text);
}

/** Media type of the stream. */
export const eventStream = 'text/event-stream';

/**
 * What the stream says of itself, whatever topics were asked for. `ready`: what was missed has been told, from here on it is
 * live. `reset`: something was missed that cannot be told any more; look at everything again. `behind`: what happened since
 * `at` is told later, until `current`. `closing`: the service ends; connect again. `ended`: whoever listens may not any more, or
 * has other rights by now.
 */
export type StreamKind = 'ready' | 'reset' | 'behind' | 'current' | 'closing' | 'ended';

const streamMessage = z.object({
  id: z.string().nullable().describe('Where to go on after an interruption: header Last-Event-ID.'),
  topic: word(...streamTopics, 'stream'),
  at: instant,
  kind: z.string().optional().describe('Of the event, or of what the stream says of itself; `changed` otherwise.'),
  subject: z.string().nullable().optional(),
  message: z.string().optional().describe('Of an event.'),
  event: z.number().optional().describe('The number of an event in the list of events.'),
});
export type StreamMessage = z.output<typeof streamMessage>;

/** As it is sent. */
export function streamText(message: StreamMessage): string {
  const line = message.id === null ? '' : `id: ${message.id}\n`;
  return `${line}data: ${JSON.stringify(z.encode(streamMessage, message))}\n\n`;
}

/** Longer than any message: whoever sends more without an end of line sends something else. */
const maxLineLength = 1024 * 1024;

/**
 * The messages of a stream as they arrive; what is none is passed over.
 * @throws RangeError for a line without end; whatever reading throws
 */
export async function* readStream(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<StreamMessage> {
  const decoder = new TextDecoder();
  let rest = '';
  let data = '';
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split(/\r?\n/);
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('data:')) data += line.slice(5);
      if (line !== '' || data === '') continue;
      const parsed = streamMessage.safeParse(jsonOrUndefined(data));
      data = '';
      if (parsed.success) yield parsed.data;
    }
    if (rest.length + data.length > maxLineLength) throw new RangeError('a message of the stream does not end');
  }
}
