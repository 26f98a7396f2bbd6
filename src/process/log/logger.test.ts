import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mock, test } from 'node:test';
import { pino } from 'pino';
import { defaultLogLimits, openLog, rotateLog } from '../../processes/supervisor/component-log.ts';
import { LogPace, maxLinesOfSubject, maxLinesPerMinute, maxSubjects } from './log-pace.ts';
import { createLogger } from './logger.ts';

const facts = { kind: 'server', name: 'server-1', release: '1.2.0' };

/** A logger and the lines that it wrote. */
function collecting() {
  const lines: string[] = [];
  const log = createLogger(facts, { write: (line: string) => void lines.push(line) });
  return { log, lines, parsed: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) };
}

test('refusals with a megabyte of a stranger’s name leave in the log what was there before', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-log-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  const file = await openLog(home, 'server-1');
  t.after(() => file.close());
  const log = createLogger(facts, pino.destination({ fd: file.fd, sync: true }));
  log.warn({ identifier: 'S10000001' }, 'SRP credential revoked; its link was closed');
  for (let count = 0; count < 45; count++) {
    log.info({ accountName: 'x'.repeat(1024 * 1024), reason: 'unknown' }, 'activation refused');
    rotateLog(home, 'server-1', defaultLogLimits);
  }
  assert.deepEqual(await readdir(join(home, 'logs')), ['server-1.log']);
  assert.match(await readFile(join(home, 'logs', 'server-1.log'), 'utf8'), /its link was closed/);
});

test('a line is short whatever is logged: long texts, many members, deep ones, errors with their causes', () => {
  const { log, lines } = collecting();
  let deep: unknown = 'x'.repeat(1e6);
  for (let level = 0; level < 1000; level++) deep = { deep };
  const long = 'y'.repeat(1e6);
  const error = new Error(long, { cause: new Error(long) });
  log.info(
    {
      long,
      deep,
      [long]: 1,
      many: Array.from({ length: 1e5 }, () => 7),
      members: Object.fromEntries(Array.from({ length: 1e4 }, (_, index) => [`m${index}`, index])),
      bytes: new Uint8Array(1e6),
      err: error,
    },
    long,
  );
  assert.equal(lines.length, 1);
  assert.ok((lines[0]?.length ?? 0) < 20_000, `${lines[0]?.length} characters`);
});

test('what a terminal obeys is escaped, and facts, errors and codes can be read', () => {
  const { log, parsed } = collecting();
  log.error({ name: 'a\u001b[2J\u009b\u202e', count: 3, err: new TypeError('broken') }, 'request failed');
  const [line] = parsed();
  assert.equal(line?.['name'], 'a\\u{1b}[2J\\u{9b}\\u{202e}');
  assert.deepEqual([line?.['count'], line?.['level'], line?.['component']], [3, 'error', 'server-1']);
  assert.ok(line);
  const { type, message, stack } = line['err'] as Record<string, string>;
  assert.deepEqual([type, message], ['TypeError', 'broken']);
  assert.match(stack ?? '', /logger\.test/);
});

test('a flood of one kind is counted, and another kind is logged beside it', () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const { log, parsed } = collecting();
    for (let count = 0; count < 10_000; count++) log.info({ code: 'ERR_A', from: `${count}` }, 'request refused');
    log.info({ code: 'ERR_B' }, 'request refused');
    log.warn('link down');
    assert.equal(parsed().length, maxLinesPerMinute + 2);
    mock.timers.tick(60_000);
    const last = parsed().at(-1);
    assert.deepEqual([last?.['kind'], last?.['leftOut']], ['request refused (ERR_A)', 10_000 - maxLinesPerMinute]);
    log.info({ code: 'ERR_A' }, 'request refused');
    assert.equal(parsed().at(-1)?.['code'], 'ERR_A');
  } finally {
    mock.timers.reset();
  }
});

test('kinds without end share one count, and cost no memory', () => {
  const pace = new LogPace();
  let admitted = 0;
  for (let count = 0; count < 100_000; count++) if (pace.admits(`kind ${count}`, '', 0)) admitted++;
  assert.ok(admitted < 1000, `${admitted} lines`);
  assert.deepEqual(
    pace.takeLeftOut(60_000).map(({ kind }) => kind),
    ['other kinds'],
  );
  assert.equal(pace.admits('kind 99999', '', 60_000), true);
});

test('what is refused to one hides nobody else of the same kind, and the summary says how many of whom', () => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'] });
  try {
    const { log, parsed } = collecting();
    const refuse = (accountName: string) => log.info({ accountName, reason: 'selector' }, 'activation refused');
    const linesOf = (name: string) => parsed().filter((line) => line['accountName'] === name).length;
    for (let count = 0; count < 1000; count++) refuse('flooded');
    refuse('anna');
    assert.deepEqual([linesOf('flooded'), linesOf('anna')], [maxLinesOfSubject, 1]);
    for (let count = 0; count < 50; count++) for (let of = 0; of < 20; of++) refuse(`name-${of}`);
    refuse('bert');
    assert.equal(linesOf('bert'), 1);
    mock.timers.tick(60_000);
    const { kind, leftOut, different, most } = parsed().at(-1) ?? {};
    const left = 1002 + 1000 - (parsed().length - 1);
    assert.deepEqual([kind, leftOut, different], ['activation refused', left, 21]);
    assert.equal((most as Record<string, number>)['flooded'], 1000 - maxLinesOfSubject);
    refuse('flooded');
    assert.equal(linesOf('flooded'), maxLinesOfSubject + 1);
  } finally {
    mock.timers.reset();
  }
});

test('subjects without end share one count, and lines of a kind stay bounded', () => {
  const pace = new LogPace();
  let admitted = 0;
  for (let count = 0; count < 100_000; count++) if (pace.admits('kind', `subject ${count}`, 0)) admitted++;
  assert.ok(admitted <= 2 * maxLinesPerMinute, `${admitted} lines`);
  const [summary] = pace.takeLeftOut(0);
  assert.equal(summary?.leftOut, 100_000 - admitted);
  assert.ok((summary?.different ?? 0) <= maxSubjects + 1);
  assert.equal(summary?.most['others'], summary?.leftOut);
});
