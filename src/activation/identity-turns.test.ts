import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createIdentityPlaces, createIdentityTurns } from './identity-turns.ts';

test('a message whose situation ended before its turn gets the answer that it got meanwhile', async () => {
  const turns = createIdentityTurns<string>(createIdentityPlaces());
  const request = { token: 'a device', message: Buffer.from('please'), situation: 'offered' };
  let worked = 0;
  const ask = (situation: string) =>
    turns.take({ ...request, situation }, async (recall) => {
      const given = recall('issued');
      if (given !== undefined) return { answer: given, situation: 'issued' };
      worked += 1;
      return { answer: `certificate ${worked}`, situation: 'issued' };
    });
  assert.equal(await ask('offered'), 'certificate 1');
  assert.equal(await ask('offered'), 'certificate 1', 'read before the first was answered');
  assert.equal(await ask('issued'), 'certificate 1');
  assert.equal(worked, 1);
});
