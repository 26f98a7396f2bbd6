import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { openLog, rotateLog } from './component-log.ts';

test('a full log is rotated under a process that goes on writing to it, and only so many are kept', async (t) => {
  const home = await mkdtemp(path.join(os.tmpdir(), 'bramble-log-'));
  t.after(async () => await rm(home, { recursive: true, force: true }));
  const limits = { maxBytes: 8, keep: 3 };
  assert.equal(rotateLog(home, 'one', limits), false);
  const log = await openLog(home, 'one');
  t.after(() => log.close());
  for (let line = 1; line <= 5; line++) {
    writeSync(log.fd, `line ${line}.\n`);
    assert.equal(rotateLog(home, 'one', limits), true);
  }
  writeSync(log.fd, 'end\n');
  assert.equal(rotateLog(home, 'one', limits), false);
  const names = (await readdir(path.join(home, 'logs'))).sort();
  assert.deepEqual(names, ['one.log', 'one.log.1', 'one.log.2', 'one.log.3']);
  const texts = await Promise.all(names.map(async (name) => await readFile(path.join(home, 'logs', name), 'utf8')));
  assert.deepEqual(texts, ['end\n', 'line 5.\n', 'line 4.\n', 'line 3.\n']);
});
