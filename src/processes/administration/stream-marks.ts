/** What tells the stream that something has changed which nobody is notified of: one statement or two for all topics. */
import type { StreamTopic } from '../../api/event-stream.ts';
import { countChanges } from '../../database/change-counts.ts';
import type { Queryable } from '../../database/connection.ts';
import { readComponentsMark } from '../../registry/component-mark.ts';

/** Tables that each topic is about. */
const tables: Readonly<Record<Exclude<StreamTopic, 'events'>, readonly string[]>> = {
  accounts: ['account', 'account_group', 'group_member', 'account_policy'],
  devices: ['device', 'device_user'],
  deliveries: ['delivery', 'delivery_hold'],
  moves: ['account_move', 'move_batch'],
  policies: ['it_policy', 'account_policy', 'group_policy', 'service'],
  components: ['desired_process', 'host', 'router', 'instance'],
  upgrade: ['upgrade_event', 'upgrade_wave'],
  figures: ['figure_minute'],
};
/** Written by each request of a device, of which nobody needs to be told. */
const writtenByRequests = ['device'];

export async function readMarks(q: Queryable, topics: readonly StreamTopic[]): Promise<Map<StreamTopic, string>> {
  const counted = topics.filter((topic) => topic !== 'events');
  const names = [...new Set(counted.flatMap((topic) => tables[topic]))];
  const counts = await countChanges(q, names, writtenByRequests);
  const components = counted.includes('components') ? await readComponentsMark(q) : '';
  return new Map(
    counted.map((topic) => [
      topic,
      [...tables[topic].map((name) => counts.get(name) ?? ''), topic === 'components' ? components : ''].join(' '),
    ]),
  );
}
