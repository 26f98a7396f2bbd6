import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { patientChunks } from './body-deadline.ts';

const limited = { timeout: 60_000 };
const patience = { graceMs: 300, bytesPerSecond: 1024 };

async function read(stream: Readable): Promise<Buffer> {
  return Buffer.concat(await Readable.from(patientChunks(stream, patience)).toArray());
}

test(
  'a body that comes passes as it is, and its stream is not destroyed when it is no longer wanted',
  limited,
  async () => {
    const parts = ['one', 'two', '', 'three'].map((text) => Buffer.from(text));
    assert.equal((await read(Readable.from(parts))).toString(), 'onetwothree');
    const open = new Readable({ read() {} });
    open.push('first');
    for await (const chunk of patientChunks(open, patience)) {
      assert.equal(Buffer.from(chunk).toString(), 'first');
      break;
    }
    assert.equal(open.destroyed, false);
    open.destroy();
  },
);

test('neither silence nor a byte now and then is waited for without end', limited, async () => {
  const silent = new Readable({ read() {} });
  silent.push('begun');
  await assert.rejects(read(silent), { code: 'ERR_BODY_TIMEOUT' });
  const trickling = Readable.from(
    (async function* () {
      for (;;) {
        await delay(50);
        yield Buffer.from('x');
      }
    })(),
  );
  await assert.rejects(read(trickling), { code: 'ERR_BODY_TIMEOUT' });
  silent.destroy();
  trickling.destroy();
});

test('what has come buys time, and the error of a stream comes through', limited, async () => {
  const large = new Readable({ read() {} });
  large.push(Buffer.alloc(1024 * 1024));
  let received = 0;
  for await (const chunk of patientChunks(large, { graceMs: 0, bytesPerSecond: 1024 })) {
    received += chunk.byteLength;
    // More than the grace, and less than what a MiB has bought.
    await delay(50);
    large.push(null);
  }
  assert.equal(received, 1024 * 1024);
  const broken = new Readable({ read() {} });
  const reading = read(broken);
  broken.destroy(new Error('gone'));
  await assert.rejects(reading, /gone/);
});
