/** Values under the master key are sealed again without waiting for who holds one. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { openDatabase } from './connection.ts';
import { createTestDatabase } from './database-fixture.ts';
import { sealedColumn } from './sealed-place.ts';
import { createMasterKeys, openValue, sealValue } from './sealed-value.ts';

const { url } = await createTestDatabase();
const db = openDatabase(url, { applicationName: 'test', max: 3 });
after(async () => await db.end({ timeout: 5 }));

test('a value that somebody holds is passed over, and sealed again the next time', async () => {
  const [former, next] = [createMasterKeys(), createMasterKeys()];
  const keys = { current: next.current, keys: new Map([...former.keys, ...next.keys]) };
  await db`create table kept (id text primary key, value bytea, key_id text)`;
  for (const id of ['held', 'free']) {
    const { ciphertext, keyId } = sealValue(former, id, Buffer.from(id));
    await db`insert into kept values (${id}, ${ciphertext}, ${keyId})`;
  }
  const place = sealedColumn<{ id: string }>({
    ...{ table: 'kept', column: 'value', keyId: 'key_id', recorded: false, boundTo: ['id'], place: ({ id }) => id },
  });
  const sealedBy = async () =>
    Object.fromEntries(
      (await db<{ id: string; keyId: string }[]>`select id, key_id as "keyId" from kept`).map(({ id, keyId }) => [
        id,
        keyId,
      ]),
    );
  const again = async () =>
    await db.begin(async (tx) => {
      await tx`set local lock_timeout = '1s'`;
      await place.sealAgain(tx, keys, null);
    });
  await db.begin(async (holder) => {
    await holder`select 1 from kept where id = 'held' for update`;
    await again();
    assert.deepEqual(await sealedBy(), { held: former.current, free: next.current });
  });
  await again();
  assert.deepEqual(await sealedBy(), { held: next.current, free: next.current });
  const [row] = await db<{ value: Buffer }[]>`select value from kept where id = 'held'`;
  assert.equal(openValue(keys, 'held', row?.value ?? Buffer.alloc(0), next.current).toString(), 'held');
});
