import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isBrambleError } from '../../base/errors.ts';
import { itemsOwedTo } from '../../devices/delivery-items-fixture.ts';
import { domain } from '../../policies/fleet-fixture.ts';
import { parseProfile } from '../../protocol/apple/profile.ts';
import { isServiceType, parseServiceSettings, type ServiceType } from '../../services/services.ts';
import { agentReaders } from '../agent/platform.ts';
import type { ServiceBookFacts } from '../order.ts';
import { registeredPlatforms } from '../registered/platforms.ts';
import { appleReaders } from './platform.ts';
import { compileServiceBooks as compileFor } from './service-books.ts';

const services: { type: ServiceType; settings: unknown }[] = [
  {
    type: '[CMIME]',
    settings: {
      protocol: 'imap',
      address: '{account}@example.com',
      incoming: { host: 'imap.example.com' },
      outgoing: { host: 'smtp.example.com', port: 587 },
    },
  },
  { type: '[CICAL]', settings: { host: 'dav.example.com' } },
  { type: '[SYNC]', settings: { host: 'dav.example.com', port: 8443, username: '{account}@example.com' } },
  { type: '[IPPP]', settings: { matchDomains: ['internal.example.com'] } },
];
const input: ServiceBookFacts = {
  domain: { ...domain, tunnelUrl: 'https://tunnel.example.com:8443' },
  account: { name: 'anna', displayName: 'Anna Ash' },
  srpIdentifier: 'S10000001',
  services,
  device: { platform: 'apple', product: 'iPhone15,2', osVersion: '18.0', softwareVersion: null },
  release: '1.0.0',
};

function compileServiceBooks(facts: ServiceBookFacts) {
  return compileFor(facts, facts.device.platform === 'agent' ? agentReaders : appleReaders);
}

function compiled(changes: Partial<ServiceBookFacts> = {}) {
  const result = compileServiceBooks({ ...input, ...changes });
  assert.ok(result);
  return { ...result, profile: parseProfile(result.bytes) };
}

test('all services become one profile, each with the SRP identifier in its UID', () => {
  const { profile, skipped } = compiled();
  assert.equal(profile.identifier, `bramble.${domain.domainId}.service-books`);
  assert.deepEqual(skipped, []);
  assert.deepEqual(
    profile.payloads.map((payload) => [payload.type, payload.displayName]),
    [
      ['com.apple.caldav.account', '[CICAL]-S10000001'],
      ['com.apple.mail.managed', '[CMIME]-S10000001'],
      ['com.apple.relay.managed', '[IPPP]-S10000001'],
      ['com.apple.carddav.account', '[SYNC]-S10000001'],
    ],
  );
  for (const payload of profile.payloads) {
    assert.ok(payload.identifier.endsWith('-S10000001'));
    assert.match(String(payload.content['PayloadDescription']), /S10000001/);
  }
});

test('a service book tells the device where its service is', () => {
  const { profile } = compiled();
  const content = (type: string) => profile.payloads.find((payload) => payload.type === type)?.content ?? {};
  const mail = content('com.apple.mail.managed');
  assert.equal(mail['EmailAddress'], 'anna@example.com');
  assert.equal(mail['IncomingMailServerPortNumber'], 993);
  assert.equal(mail['OutgoingMailServerPortNumber'], 587);
  assert.equal(content('com.apple.carddav.account')['CardDAVUsername'], 'anna@example.com');
  assert.equal(content('com.apple.caldav.account')['CalDAVPort'], 443);
  const relays = content('com.apple.relay.managed')['Relays'] as { HTTP2RelayURL: string }[];
  assert.deepEqual(
    relays.map((relay) => relay.HTTP2RelayURL),
    ['https://tunnel.example.com:8443/'],
  );
  assert.deepEqual(content('com.apple.relay.managed')['MatchDomains'], ['internal.example.com']);
});

test('a move to another instance changes every service book, under the same profile identifier', () => {
  const before = compiled();
  const after = compiled({ srpIdentifier: 'S10000002' });
  assert.equal(after.identifier, before.identifier);
  assert.notEqual(after.revision, before.revision);
  assert.ok(after.profile.payloads.every((payload) => payload.identifier.endsWith('-S10000002')));
});

test('the connection service reaches only devices that know relays', () => {
  const types = (device: ServiceBookFacts['device']) =>
    compiled({ device }).profile.payloads.map((payload) => payload.type);
  const relay = 'com.apple.relay.managed';
  const apple = (product: string, osVersion: string) =>
    ({ platform: 'apple', product, osVersion, softwareVersion: null }) as const;
  assert.ok(!types(apple('iPhone12,1', '16.7')).includes(relay));
  assert.ok(types(apple('iPhone12,1', '17.0')).includes(relay));
  assert.ok(!types(apple('Mac14,2', '13.6')).includes(relay));
  assert.ok(types(apple('Mac14,2', '14.0')).includes(relay));
  assert.equal(compiled({ device: apple('iPhone12,1', '16.7') }).skipped[0]?.reason, 'not-for-device');
});

test('agent devices with software before 4.0 are owed the IT policy only and get no service books', () => {
  const agent = (softwareVersion: string | null) =>
    ({ platform: 'agent', product: null, osVersion: null, softwareVersion }) as const;
  assert.equal(compileServiceBooks({ ...input, device: agent('3.9') }), undefined);
  assert.equal(compileServiceBooks({ ...input, device: agent(null) }), undefined);
  assert.equal(compiled({ device: agent('4.2') }).profile.payloads.length, 4);
  assert.deepEqual(itemsOwedTo(registeredPlatforms, agent('3.9')), ['it-policy']);
  assert.deepEqual(itemsOwedTo(registeredPlatforms, agent('4.0')), ['it-policy', 'service-books', 'synchronization']);
  assert.deepEqual(itemsOwedTo(registeredPlatforms, agent('4')), ['it-policy', 'service-books', 'synchronization']);
  assert.deepEqual(itemsOwedTo(registeredPlatforms, { platform: 'apple', softwareVersion: null }).length, 3);
});

test('one service with settings that do not fit is left out and reported, the others are sent', () => {
  const broken = services.map((service) =>
    service.type === '[CICAL]' ? { ...service, settings: { host: '' } } : service,
  );
  const { profile, skipped } = compiled({ services: broken });
  assert.equal(profile.payloads.length, 3);
  assert.deepEqual(
    skipped.map((part) => [part.name, part.reason]),
    [['[CICAL]', 'invalid']],
  );
  const address = { ...input.domain, tunnelUrl: 'https://127.0.0.1:8443' };
  assert.deepEqual(
    compiled({ domain: address }).skipped.map((part) => part.name),
    ['[IPPP]'],
  );
});

test('no services is a profile without payloads, which takes the earlier ones away', () => {
  assert.deepEqual(compiled({ services: [] }).profile.payloads, []);
});

test('exchange mail is an alternative to IMAP', () => {
  const settings = { protocol: 'exchange', address: '{account}@example.com', host: 'eas.example.com' };
  const { profile } = compiled({ services: [{ type: '[CMIME]', settings }] });
  assert.equal(profile.payloads[0]?.type, 'com.apple.eas.account');
  assert.equal(profile.payloads[0]?.content['UserName'], 'anna');
});

test('settings that do not fit their service are refused when they are stored', () => {
  for (const [type, settings] of [
    ['[CMIME]', { protocol: 'pop' }],
    ['[CICAL]', { host: 'a b' }],
    ['[SYNC]', { host: 'x', port: 0 }],
    ['[IPPP]', { matchDomains: [] }],
  ] as const) {
    assert.throws(
      () => parseServiceSettings(type, settings),
      (error) => isBrambleError(error, 'ERR_SERVICE_SETTINGS'),
    );
  }
  assert.ok(isServiceType('[IPPP]'));
  assert.ok(!isServiceType('IPPP'));
});
