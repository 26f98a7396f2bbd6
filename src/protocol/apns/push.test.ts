import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePushAnswer, pushHeaders, pushPath, pushPayload } from './push.ts';

test('a push names the token, the topic and nothing but the magic', () => {
  assert.equal(pushPath(Uint8Array.of(0xab, 1)), '/3/device/ab01');
  assert.equal(pushPayload('m"'), '{"mdm":"m\\""}');
  const headers = pushHeaders({ topic: 't', nowMs: 5_000, ttlSeconds: 10 });
  assert.equal(headers['apns-topic'], 't');
  assert.equal(headers['apns-expiration'], '15');
});

test('answers of APNs are told apart', () => {
  const outcome = (status: number, reason?: string) => {
    return parsePushAnswer(status, reason === undefined ? '<html>' : JSON.stringify({ reason })).outcome;
  };
  assert.equal(outcome(200), 'sent');
  assert.equal(outcome(410, 'Unregistered'), 'unregistered');
  assert.equal(outcome(400, 'BadDeviceToken'), 'bad-token');
  assert.equal(outcome(400, 'BadTopic'), 'rejected');
  assert.equal(outcome(429), 'retry-later');
  assert.equal(outcome(503), 'retry-later');
  assert.equal(outcome(403), 'rejected');
});
