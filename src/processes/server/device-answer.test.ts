import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import postgres from 'postgres';
import type { ErrorCode } from '../../base/error-codes.ts';
import { BrambleError } from '../../base/errors.ts';
import type { SrpIdentifier } from '../../base/ids.ts';
import { appleProtocol } from '../../platforms/apple/protocol.ts';
import { parseCheckin } from '../../protocol/apple/checkin.ts';
import { parseConnect } from '../../protocol/apple/connect.ts';
import { parseClientCert } from '../../protocol/client-cert-header.ts';
import { verifyDetached } from '../../protocol/cms/verification.ts';
import * as answers from './device-answer.ts';

const statusOf = (error: unknown) => answers.answerOfError(error, appleProtocol.faults).status;

test('whatever fails, no device is told 401 or 403, and nothing of the failure leaks', () => {
  const code = fc.stringMatching(/^ERR_[A-Z_]{1,20}$/).map((text) => text as ErrorCode);
  const failure = fc.oneof(
    code.map((each) => new BrambleError(each, 'secret')),
    fc.constantFrom(new Error('secret'), new TypeError('secret'), 'secret', undefined, null, { status: 401 }),
    fc.stringMatching(/^[0-9A-Z]{5}$/).map((state) => {
      return Object.assign(new postgres.PostgresError({ message: 'secret' } as never), { code: state });
    }),
  );
  fc.assert(
    fc.property(failure, (error) => {
      const { status, body, headers, code: told } = answers.answerOfError(error);
      assert.ok([400, 413, 415, 503].includes(status), String(status));
      if (status === 503) assert.ok(Number(headers['retry-after']) > 0);
      assert.equal(JSON.parse(String(body)).code, told);
      if (status === 503) assert.ok(!String(body).includes('secret'));
    }),
  );
});

test('the fixed answers are none that would make a device leave', () => {
  const { moving, unknownDevice, wrongIdentity, notActive, emptyAnswer } = answers;
  const owner = answers.notOwner('S10000002' as SrpIdentifier);
  assert.deepEqual(
    [moving, unknownDevice, wrongIdentity, notActive, emptyAnswer, owner].map(({ status }) => status),
    [503, 400, 400, 400, 200, 421],
  );
  assert.equal(owner.headers['bramble-owner'], 'S10000002');
});

test('what a device can send wrongly is its own fault, not trouble of ours', () => {
  const parsers: ((bytes: Uint8Array) => unknown)[] = [
    parseCheckin,
    parseConnect,
    (bytes) => parseClientCert(Buffer.from(bytes).toString('latin1')),
    (bytes) => verifyDetached(Buffer.from(bytes).toString('base64'), new Uint8Array()),
  ];
  const plist = fc
    .string()
    .map((text) => Buffer.from(`<plist><dict><key>UDID</key><string>${text}</string></dict></plist>`));
  const binary = fc.uint8Array().map((rest) => Buffer.concat([Buffer.from('bplist00'), rest]));
  const der = fc.uint8Array({ maxLength: 100 }).map((rest) => Buffer.from([0x30, rest.length, ...rest]));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), plist, binary, der), fc.constantFrom(...parsers), (bytes, parse) => {
      try {
        parse(bytes);
      } catch (error) {
        assert.equal(statusOf(error), 400, String(error));
      }
    }),
    { numRuns: 500 },
  );
});
