import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEventLog } from './event-log.ts';

test('a line names the supervisor and the process that it is about, and no field twice', () => {
  const lines: string[] = [];
  const log = createEventLog({ write: (line) => void lines.push(line) });
  log({ type: 'started', name: 'server-1', kind: 'server', release: '1.3.0', pid: 7 });
  log({ type: 'hung', name: 'server-1', pid: 7, silentMs: 30_000 });
  log({ type: 'stopped' });
  const read = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(
    read.map(({ msg, level, pid, processId }) => ({ msg, level, pid, processId })),
    [
      { msg: 'started', level: 30, pid: process.pid, processId: 7 },
      { msg: 'hung', level: 40, pid: process.pid, processId: 7 },
      { msg: 'stopped', level: 30, pid: process.pid, processId: undefined },
    ],
  );
  for (const line of lines) {
    const fields = [...line.matchAll(/"(\w+)":/g)].map(([, field]) => field);
    assert.equal(new Set(fields).size, fields.length, line);
  }
});
