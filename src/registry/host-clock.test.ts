import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from '../database/connection.ts';
import { createTestDatabase } from '../database/database-fixture.ts';
import { readClockAheadMs } from './host-clock.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'bramble/test', max: 2 });
after(async () => await db.end({ timeout: 5 }));

const hourMs = 3_600_000;
const shifted = (byMs: number) => () => Date.now() + byMs;

test('a clock that agrees with the database’s differs by nothing, and one that is off by what it is off', async () => {
  assert.equal(await readClockAheadMs(db), 0);
  for (const byMs of [hourMs, -hourMs]) {
    const aheadMs = await readClockAheadMs(db, shifted(byMs));
    // The way there and back is taken as no difference.
    assert.ok(Math.abs(aheadMs) <= hourMs && Math.abs(aheadMs) > hourMs / 2 && Math.sign(aheadMs) === Math.sign(byMs));
  }
});
