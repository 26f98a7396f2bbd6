import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { bodyTakenIn, bytesComingIn, createPatience } from './patience.ts';

const bytes = new Uint8Array(3);
const said = (signal: AbortSignal): unknown => (signal.aborted ? (signal.reason as Error).message : null);

/** What was read is asked for by now. */
const asked = () => new Promise(setImmediate);

/** Time passes when the test says so. */
function manualTime(context: TestContext): (durationMs: number) => void {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  return (durationMs) => context.mock.timers.tick(durationMs);
}

test('of a body that is sent only the time of the service counts', async (context) => {
  const pass = manualTime(context);
  const own = Promise.withResolvers<Uint8Array>();
  const body = new ReadableStream({ pull: async (controller) => controller.enqueue(await own.promise) });
  const patience = createPatience();
  const taking = bodyTakenIn(patience, body, 1000).getReader();
  pass(999);
  const taken = taking.read();
  await asked();
  pass(60_000);
  assert.equal(said(patience.signal), null);
  own.resolve(bytes);
  await taken;
  pass(999);
  assert.equal(said(patience.signal), null);
  pass(1);
  assert.equal(said(patience.signal), 'took nothing within 1 s');
});

test('once a body is sent it is the answer that is waited for', async (context) => {
  const pass = manualTime(context);
  const patience = createPatience();
  const body = new ReadableStream({ start: (controller) => controller.close() });
  await bodyTakenIn(patience, body, 1000).getReader().read();
  pass(1000);
  assert.equal(said(patience.signal), 'did not answer within 1 s');
});

test('of a body that comes only the time counts in which it is asked for', async (context) => {
  const pass = manualTime(context);
  const patience = createPatience();
  const body = new ReadableStream<Uint8Array>({ start: (controller) => controller.enqueue(bytes) });
  const coming = bytesComingIn(patience, new Response(body), 1000, (cause) => cause as Error).getReader();
  assert.deepEqual((await coming.read()).value, bytes);
  pass(60_000);
  assert.equal(said(patience.signal), null);
  coming.read().catch(() => undefined);
  await asked();
  pass(1000);
  assert.equal(said(patience.signal), 'sent nothing more within 1 s');
});

test('a patience that is closed waits for nothing any more', (context) => {
  const pass = manualTime(context);
  const patience = createPatience();
  patience.begin(1000, 'did not answer');
  patience.close();
  patience.begin(1000, 'did not answer');
  pass(60_000);
  assert.equal(said(patience.signal), null);
});
