/**
 * Looks which of the things have changed that nobody is notified of, for all streams at once. A mark is any text that
 * differs after a change.
 *
 * Invariant: a change after a stream has begun is told, as each thing had a mark before.
 */
import type { StreamTopic } from '../api/event-stream.ts';

export type Marks = ReadonlyMap<StreamTopic, string>;

export interface TopicLook {
  /** Has a mark for each of them. */
  begin(topics: Iterable<StreamTopic>): Promise<void>;
  /** Those of them that have changed since the last look. */
  look(topics: Iterable<StreamTopic>): Promise<StreamTopic[]>;
}

export function topicLook(readMarks: (topics: readonly StreamTopic[]) => Promise<Marks>): TopicLook {
  const marks = new Map<StreamTopic, string>();
  return {
    begin: async (topics) => {
      const fresh = [...topics].filter((each) => each !== 'events' && !marks.has(each));
      if (fresh.length === 0) return;
      for (const [topic, mark] of await readMarks(fresh)) if (!marks.has(topic)) marks.set(topic, mark);
    },
    look: async (topics) => {
      const known = [...topics].filter((each) => marks.has(each));
      if (known.length === 0) return [];
      const changed: StreamTopic[] = [];
      for (const [topic, mark] of await readMarks(known)) {
        if (marks.get(topic) !== mark) changed.push(topic);
        marks.set(topic, mark);
      }
      return changed;
    },
  };
}
