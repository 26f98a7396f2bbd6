import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serializePlist } from '../plist/serializer.ts';
import type { PlistValue } from '../plist/value.ts';
import { createAuthority } from '../x509/certificate.ts';
import { parseCheckin, serializeCheckin } from './checkin.ts';
import { commandRequest, parseCommand, serializeCommand } from './command.ts';
import { parseConnect, serializeConnect } from './connect.ts';
import { buildEnrollmentProfile, parseEnrollmentProfile } from './enrollment-profile.ts';
import { buildProfile, parseProfile, uuidFromSeed } from './profile.ts';

const UDID = '3F2504E0-4F89-11D3-9A0C-0305E82C3301';
const Token = Buffer.from('token');

test('every check-in is told apart and keeps its fields', () => {
  const token = { UDID, Topic: 'topic', Token, PushMagic: 'magic' };
  const device = parseCheckin(serializeCheckin('TokenUpdate', token));
  assert.ok(device.messageType === 'TokenUpdate' && device.channel === 'device' && device.pushMagic === 'magic');
  const user = parseCheckin(serializeCheckin('TokenUpdate', { ...token, UserID: 'user' }));
  assert.ok(user.messageType === 'TokenUpdate' && user.channel === 'user' && user.userId === 'user');
  const first = parseCheckin(serializeCheckin('Authenticate', { EnrollmentID: 'e', Topic: 't', OSVersion: '18.1' }));
  assert.ok(first.messageType === 'Authenticate' && first.osVersion === '18.1' && first.enrollmentId === 'e');
  const declarative = parseCheckin(serializeCheckin('DeclarativeManagement', { UDID, Endpoint: 'tokens' }));
  assert.ok(declarative.messageType === 'DeclarativeManagement' && declarative.endpoint === 'tokens');
  const bootstrap = parseCheckin(serializeCheckin('SetBootstrapToken', { UDID, BootstrapToken: Token }));
  assert.ok(bootstrap.messageType === 'SetBootstrapToken' && Token.equals(bootstrap.bootstrapToken ?? Buffer.alloc(0)));
  for (const type of ['CheckOut', 'GetBootstrapToken', 'UserAuthenticate'] as const) {
    assert.equal(parseCheckin(serializeCheckin(type, { UDID })).messageType, type);
  }
  for (const bad of [Buffer.alloc(0), Buffer.alloc(257)]) {
    const sent = serializeCheckin('TokenUpdate', { ...token, Token: bad });
    assert.throws(() => parseCheckin(sent), { code: 'ERR_CHECKIN_MALFORMED' });
  }
  const service = parseCheckin(serializeCheckin('GetToken', { UDID, TokenServiceType: 'com.apple.maid' }));
  assert.ok(service.messageType === 'GetToken' && service.tokenServiceType === 'com.apple.maid');
});

test('check-ins with missing or wrong fields are malformed', () => {
  const bodies = [
    serializeCheckin('TokenUpdate', { UDID, Topic: 't', PushMagic: 'm' }),
    serializeCheckin('TokenUpdate', { UDID, Topic: 't', PushMagic: 'm', Token: 'text' }),
    serializeCheckin('Authenticate', { Topic: 't' }),
    serializeCheckin('Authenticate', { UDID: '', Topic: 't' }),
    Buffer.from('no plist'),
    Buffer.from('<plist version="1.0"><array/></plist>'),
    Buffer.from(serializeCheckin('CheckOut', { UDID }).toString().replace('CheckOut', 'constructor')),
  ];
  for (const body of bodies) assert.throws(() => parseCheckin(body), { code: 'ERR_CHECKIN_MALFORMED' });
});

test('connect answers are read with their command and errors', () => {
  assert.equal(parseConnect(serializeConnect({ status: 'Idle', udid: UDID })).status, 'Idle');
  const errorChain = [{ errorCode: 4001, errorDomain: 'domain', description: 'no' }];
  const failed = parseConnect(serializeConnect({ status: 'Error', udid: UDID, commandUuid: 'c', errorChain }));
  assert.ok(failed.status === 'Error');
  assert.deepEqual([failed.commandUuid, failed.errorChain], ['c', errorChain]);
  for (const body of [
    serializeConnect({ status: 'Acknowledged', udid: UDID }),
    Buffer.from(serializeConnect({ status: 'Idle', udid: UDID }).toString().replace('Idle', 'Busy')),
    Buffer.from(''),
  ]) {
    assert.throws(() => parseConnect(body), { code: 'ERR_CONNECT_MALFORMED' });
  }
});

test('nothing but Status and CommandUUID keeps an answer from being read', () => {
  const odd: PlistValue[] = ['12', 1.5, 2n ** 63n, true, new Date(0), Token, '', 'x'.repeat(17 * 1024), [], [[1]], {}];
  const names = ['ErrorChain', 'UDID', 'EnrollmentID', 'QueryResponses', 'ProfileList', 'RequestType', 'Udid'];
  const said = { CommandUUID: UDID };
  for (const value of [
    ...odd,
    ...odd.map((code) => ({ ErrorCode: code, ErrorDomain: code, LocalizedDescription: code })),
  ]) {
    for (const name of names) {
      for (const Status of ['Error', 'NotNow', 'acknowledged', ' CommandFormatError\n']) {
        const answer = parseConnect(Buffer.from(serializePlist({ ...said, Status, [name]: value })));
        assert.ok(answer.status !== 'Idle' && answer.commandUuid === UDID);
      }
    }
  }
  const chain = (ErrorCode: PlistValue) => {
    const answer = parseConnect(Buffer.from(serializePlist({ ...said, Status: 'Error', ErrorChain: { ErrorCode } })));
    return answer.status === 'Error' ? answer.errorChain.map(({ errorCode }) => errorCode) : [];
  };
  assert.deepEqual([chain('12'), chain(1.5), chain(2n ** 63n), chain('twelve')], [[12], [1.5], [2 ** 63], [0]]);
  const xml = serializePlist({ ...said, Status: 'Error', ErrorChain: [{ ErrorCode: 'odd' }] }).toString();
  for (const scalar of [
    '<integer>99999999999999999999999</integer>',
    '<real>a</real>',
    '<date>then</date>',
    '<data>?</data>',
  ]) {
    const answer = parseConnect(Buffer.from(xml.replace('<string>odd</string>', scalar)));
    assert.ok(answer.status === 'Error' && answer.commandUuid === UDID, scalar);
  }
  const notUnicode = Buffer.from(xml.replace('odd', 'o\xffd'), 'latin1');
  assert.equal(parseConnect(notUnicode).status, 'Error');
  for (const CommandUUID of [5, Token, [UDID], '', true]) {
    const body = Buffer.from(serializePlist({ Status: 'Error', CommandUUID }));
    assert.throws(() => parseConnect(body), { code: 'ERR_CONNECT_MALFORMED' });
  }
});

test('a command reads back as what was asked', () => {
  for (const request of [
    commandRequest.installProfile(Token),
    commandRequest.removeProfile('org.example'),
    commandRequest.profileList(),
    commandRequest.deviceInformation(['DeviceName']),
    commandRequest.securityInfo(),
    commandRequest.deviceLock({ pin: '123456', message: 'lost' }),
  ]) {
    assert.deepEqual(parseCommand(serializeCommand({ commandUuid: 'u', ...request })), {
      commandUuid: 'u',
      ...request,
    });
  }
  assert.throws(() => parseCommand(Buffer.from('x')), { code: 'ERR_COMMAND_MALFORMED' });
});

test('an enrolment profile is the same each time and reads back', async () => {
  const { certificateDer } = await createAuthority({ commonName: 'Anchor', algorithm: 'EC-P256', days: 10 });
  const options = {
    organization: 'Example & Co',
    identifierPrefix: 'org.example.bramble',
    seed: 'enrolment 1',
    checkInUrl: 'https://mdm.example.org/mdm/t/checkin',
    serverUrl: 'https://mdm.example.org/mdm/t/connect',
    scepUrl: 'https://mdm.example.org/scep/t',
    challenge: 'secret',
    subject: { commonName: 'device', organizationalUnit: 'fleet' },
    topic: 'com.apple.mgmt.External.x',
    authorityCertificatesDer: [certificateDer],
  };
  const profile = buildEnrollmentProfile(options);
  assert.deepEqual(profile, buildEnrollmentProfile(options));
  const parsed = parseEnrollmentProfile(profile);
  const { serverUrl, checkInUrl, scepUrl, challenge, subject, topic } = options;
  assert.deepEqual(
    { ...parsed, authorityCertificatesDer: parsed.authorityCertificatesDer.map((der) => Buffer.from(der)) },
    {
      ...{ serverUrl, checkInUrl, scepUrl, challenge, subject, topic, keySizeBits: 2048, accessRights: 8191 },
      profileIdentifier: 'org.example.bramble.enrollment',
      ...{ signMessage: true, profileUuid: uuidFromSeed('enrolment 1/profile') },
      authorityCertificatesDer: [Buffer.from(certificateDer)],
    },
  );
});

test('a profile reads back, and what is none is malformed', () => {
  const uuid = uuidFromSeed('payload');
  assert.match(uuid, /^[0-9A-F]{8}-[0-9A-F]{4}-8[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$/);
  const profile = {
    identifier: 'org.example.policy',
    uuid: uuidFromSeed('profile'),
    displayName: 'IT policy',
    organization: 'Example',
    payloads: [{ type: 'com.apple.applicationaccess', identifier: 'a', uuid, content: { allowCamera: false } }],
    topLevel: { PayloadRemovalDisallowed: true },
  };
  assert.deepEqual(parseProfile(buildProfile(profile)), profile);
  for (const bytes of [Buffer.from('x'), Buffer.from([0x30, 0x80]), Buffer.from('<plist><dict/></plist>')]) {
    assert.throws(() => parseProfile(bytes), { code: 'ERR_PROFILE_MALFORMED' });
  }
});
