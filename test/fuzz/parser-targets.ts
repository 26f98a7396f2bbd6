/**
 * Every parser of bytes from outside, each with a generator of damaged inputs and with what its outcome must be.
 * Where more is known than "no other error", a target asserts it: a certificate that is not byte for byte the one that was
 * issued is not believed; a head that the router takes can be said over the link.
 */
import assert from 'node:assert/strict';
import { createPublicKey } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { ErrorCode } from '../../src/base/error-codes.ts';
import { BrambleError, isBrambleError } from '../../src/base/errors.ts';
import {
  acceptedShape,
  envelopeShape,
  helloShape,
  refusedShape,
  revocationListShape,
  routeAnswersShape,
  routeQuestionShape,
  routerRegistrationShape,
} from '../../src/link/messages.ts';
import {
  openEnvelope as openLinkEnvelope,
  parseJson,
  parseMessage,
  signEnvelope,
} from '../../src/link/signed-envelope.ts';
import { parseActivationForm } from '../../src/platforms/apple/activation-form.ts';
import { appleProtocol } from '../../src/platforms/apple/protocol.ts';
import { registeredPlatforms } from '../../src/platforms/registered/platforms.ts';
import { accountBatches } from '../../src/processes/administration/account-import-stream.ts';
import { readHead } from '../../src/processes/router/request-head.ts';
import { answerOfError } from '../../src/processes/server/device-answer.ts';
import { parsePushAnswer } from '../../src/protocol/apns/push.ts';
import { parseCheckin } from '../../src/protocol/apple/checkin.ts';
import { parseConnect } from '../../src/protocol/apple/connect.ts';
import { parseClientCert, serializeClientCert } from '../../src/protocol/client-cert-header.ts';
import { openEnvelope, sealEnvelope } from '../../src/protocol/cms/enveloped-data.ts';
import { signAttached, signDetached } from '../../src/protocol/cms/signing.ts';
import { verifyAttached, verifyDetached } from '../../src/protocol/cms/verification.ts';
import { childrenOf, type DerElement, type Encoding, readWhole } from '../../src/protocol/der/reader.ts';
import { parseQuery } from '../../src/protocol/form.ts';
import { parsePlist } from '../../src/protocol/plist/parser.ts';
import { serializePlist } from '../../src/protocol/plist/serializer.ts';
import type { PlistDictionary } from '../../src/protocol/plist/value.ts';
import { maxHeaderBytes, readProxyHeader } from '../../src/protocol/proxy-header.ts';
import { localHeader, proxyHeader } from '../../src/protocol/proxy-header-fixture.ts';
import { scepAttributesDer } from '../../src/protocol/scep/attributes.ts';
import { buildPkcsReq } from '../../src/protocol/scep/client-message.ts';
import { parsePkiMessage } from '../../src/protocol/scep/server-message.ts';
import {
  createAuthority,
  issueCertificate,
  randomSerialHex,
  selfSignedCertificate,
} from '../../src/protocol/x509/certificate.ts';
import { isIssuedBy } from '../../src/protocol/x509/certificate-chain.ts';
import { readCertificate } from '../../src/protocol/x509/certificate-fields.ts';
import { buildCertificateRequest, readCertificateRequest } from '../../src/protocol/x509/certificate-request.ts';
import { createEcKeyPair, createRsaKeyPair, spkiDerOf } from '../../src/protocol/x509/key-pair.ts';
import type { SeededRandom } from '../../src/simulator/seeded-random.ts';
import { filled, type Generate, mutateBytes } from './byte-mutations.ts';
import { derSeed, growDer, mutateDer } from './der-mutations.ts';
import { type BinarySeed, binarySeed, growBinary, mutateBinary, xmlSeed } from './plist-mutations.ts';
import { growText, mutateText, type TextSeed, textSeed, trickyWords } from './text-mutations.ts';

export interface ParserTarget {
  readonly name: string;
  /** How many inputs in relation to the others: fewer where each costs a private key. */
  readonly weight: number;
  readonly generate: Generate;
  /** Returns when the input was taken, or throws as the parser does. */
  readonly parse: (input: Buffer) => void | Promise<void>;
  /** Whether devices or strangers send it: then a refusal is one of the answers that are the sender's fault. */
  readonly fromDevice: boolean;
  /** Makes something of every input. */
  readonly refusesNothing?: true;
}

const kib = 1024;

function damaged<Seed>(
  seeds: readonly Seed[],
  mutate: (random: SeededRandom, seed: Seed) => Buffer,
  grow: (random: SeededRandom, seed: Seed, sizeBytes: number) => Buffer,
  maxBytes: number,
): Generate {
  return (random, grown) => {
    const seed = random.pick(seeds);
    if (!grown) return mutate(random, seed);
    return Buffer.from(grow(random, seed, maxBytes).subarray(0, maxBytes));
  };
}
const der = (seeds: readonly Uint8Array[], maxBytes = 64 * kib): Generate =>
  damaged(seeds.map(derSeed), mutateDer, growDer, maxBytes);
const text = (seeds: readonly TextSeed[], maxBytes: number): Generate => damaged(seeds, mutateText, growText, maxBytes);

/** The seeds are made with fresh keys: which inputs there are depends on the dice, what stands in keys does not matter. */
export async function parserTargets(): Promise<ParserTarget[]> {
  return [...(await derTargets()), ...plistTargets(), ...textTargets(), balancerTarget()];
}

function balancerTarget(): ParserTarget {
  const seeds = [
    proxyHeader('192.0.2.7', Buffer.from('0400010003000400000000', 'hex')),
    proxyHeader('2001:db8:0:0:0:0:0:1'),
    localHeader(),
  ].map((header) => Buffer.concat([header, Buffer.from('16030102', 'hex')]));
  return {
    ...{ name: 'header of a balancer', weight: 12, fromDevice: true },
    generate: damaged(seeds, mutateBytes, (_, seed, sizeBytes) => filled(seed, sizeBytes), 16 * kib),
    parse: (input) => {
      const header = readProxyHeader(input);
      if (header.kind === 'refused') throw new BrambleError('ERR_INPUT', header.reason);
      if (header.kind === 'incomplete') {
        assert.ok(input.length < maxHeaderBytes, 'more than a whole header is waited for');
        return;
      }
      assert.ok(header.sizeBytes <= input.length && header.sizeBytes <= maxHeaderBytes);
      assert.ok(header.source === null || isIP(header.source) !== 0, `${header.source} is no address`);
      // Whatever follows, and in whatever pieces it comes, it says the same.
      assert.deepEqual(readProxyHeader(input.subarray(0, header.sizeBytes)), header);
      assert.equal(readProxyHeader(input.subarray(0, header.sizeBytes - 1)).kind, 'incomplete');
    },
  };
}

async function derTargets(): Promise<ParserTarget[]> {
  const authority = await createAuthority({ commonName: 'Authority', algorithm: 'RSA-2048', days: 30 });
  const [ra, rsa, ec] = [await createRsaKeyPair(), await createRsaKeyPair(), await createEcKeyPair()];
  const issue = (spkiDer: Uint8Array, usage: 'client' | 'registration') =>
    issueCertificate({
      authority,
      publicKey: { spkiDer },
      subject: { commonName: 'device', organizationalUnit: 'fleet' },
      days: 10,
      serialHex: randomSerialHex(),
      usage,
    });
  const certificates = [issue(spkiDerOf(rsa.publicKey), 'client'), issue(spkiDerOf(ec.publicKey), 'client')];
  const [rsaCertificate = Buffer.alloc(0), ecCertificate = Buffer.alloc(0)] = certificates;
  const raCertificate = issue(spkiDerOf(ra.publicKey), 'registration');
  const selfSigned = selfSignedCertificate({ key: ec.privateKey, subject: { commonName: 'device' }, days: 1 });
  const requests = [rsa, ec].map(({ privateKey: key, publicKey }) =>
    buildCertificateRequest({
      ...{ key, publicKeySpkiDer: spkiDerOf(publicKey), subject: { commonName: 'device' } },
      challengePassword: 'challenge',
    }),
  );
  const [request = Buffer.alloc(0)] = requests;
  const body = Buffer.from('<plist><dict/></plist>');
  const signing = { key: ec.privateKey, certificateDer: ecCertificate, body };
  const signatures = [signing, { ...signing, key: rsa.privateKey, certificateDer: rsaCertificate }].map((signer) =>
    Buffer.from(signDetached({ ...signer, signingTime: new Date(0), chainDer: [authority.certificateDer] }), 'base64'),
  );
  const attached = signAttached(signing);
  const envelope = sealEnvelope(request, raCertificate, 'aes-128-cbc');
  const pending = buildPkcsReq({
    ...{ key: rsa.privateKey, subject: { commonName: 'device' }, challengePassword: 'challenge' },
    raCertificateDer: raCertificate,
  });
  const registrations = [{ raKey: ra.privateKey, raCertificate }];
  const recipients = [{ key: ra.privateKey, certificateDer: raCertificate }];
  const envelopes = der([envelope]);
  const requestsInside = der(requests, 8 * kib);
  const issued = new Set(certificates.map((certificate) => certificate.toString('hex')));
  const now = new Date();

  const walk = (element: DerElement): void => {
    if ((element.tag & 0x20) !== 0) childrenOf(element).forEach(walk);
  };
  const everything = [...certificates, selfSigned, ...requests, ...signatures, attached, envelope, pending.der];
  /** The outside is whole and signed, so that the damage lies behind the signature. */
  const signedAgain: Generate = (random, grown) => {
    const inside = random.chance(0.5)
      ? envelopes(random, grown)
      : sealEnvelope(requestsInside(random, grown), raCertificate, 'aes-128-cbc');
    const { transactionId, senderNonce } = pending;
    const messageType = random.pick(['PKCSReq', 'RenewalReq', 'CertPoll', 'CertRep'] as const);
    const attributes = scepAttributesDer({ messageType, transactionId, senderNonce });
    return signAttached({ key: ec.privateKey, certificateDer: selfSigned, body: inside, attributes });
  };
  const whole = der([pending.der]);
  return [
    ...(['der', 'ber'] as const).map((encoding: Encoding) => ({
      name: encoding === 'der' ? 'DER' : 'BER',
      weight: 12,
      generate: der(everything),
      parse: (input: Buffer) => walk(readWhole(input, input[0] ?? 0x30, encoding)),
      fromDevice: true,
    })),
    {
      name: 'certificate',
      weight: 8,
      generate: der([...certificates, selfSigned], 16 * kib),
      parse: (input) => {
        if (isIssuedBy(input, authority.certificateDer, now)) {
          assert.ok(issued.has(input.toString('hex')), 'a certificate that was never issued is believed');
        }
        readCertificate(input);
      },
      fromDevice: true,
    },
    {
      name: 'certificate request',
      weight: 4,
      generate: requestsInside,
      parse: (input) => void readCertificateRequest(input),
      fromDevice: true,
    },
    {
      name: 'Mdm-Signature',
      weight: 6,
      generate: der(signatures, 48 * kib),
      parse: (input) => void verifyDetached(input.toString('base64'), body),
      fromDevice: true,
    },
    {
      name: 'CMS signed',
      weight: 4,
      generate: der([attached]),
      parse: (input) => void verifyAttached(input),
      fromDevice: true,
    },
    {
      name: 'CMS enveloped',
      weight: 0.2,
      generate: envelopes,
      parse: (input) => void openEnvelope(input, recipients),
      fromDevice: true,
    },
    {
      name: 'SCEP message',
      weight: 4,
      generate: (random, grown) => (random.chance(0.02) ? signedAgain(random, grown) : whole(random, grown)),
      parse: (input) => void parsePkiMessage(input, registrations),
      fromDevice: true,
    },
  ];
}

function plistTargets(): ParserTarget[] {
  const messages: PlistDictionary[] = [
    { MessageType: 'Authenticate', UDID: 'A', Topic: 'com.apple.mgmt.x', OSVersion: '18.1', SerialNumber: 'C0' },
    {
      MessageType: 'TokenUpdate',
      UDID: 'A',
      Topic: 't',
      Token: Buffer.alloc(32),
      PushMagic: 'm',
      AwaitingConfiguration: false,
    },
    { MessageType: 'GetToken', EnrollmentID: 'E', TokenServiceType: 'x', TokenParameters: { a: 1 } },
    { MessageType: 'DeclarativeManagement', UDID: 'A', UserID: 'U', Endpoint: 'tokens', Data: Buffer.from('{}') },
    { MessageType: 'SetBootstrapToken', UDID: 'A', BootstrapToken: Buffer.from('token') },
    { MessageType: 'UserAuthenticate', UDID: 'A', UserID: 'U', DigestResponse: 'd' },
    { MessageType: 'CheckOut', UDID: 'A', Topic: 't' },
  ];
  const answers: PlistDictionary[] = [
    { Status: 'Idle', UDID: 'A' },
    { Status: 'Acknowledged', UDID: 'A', CommandUUID: 'c', QueryResponses: { OSVersion: '18', BatteryLevel: 0.5 } },
    { Status: 'Acknowledged', UDID: 'A', CommandUUID: 'c', ProfileList: [{ PayloadIdentifier: 'p', IsManaged: true }] },
    {
      ...{ Status: 'Error', UDID: 'A', CommandUUID: 'c' },
      ErrorChain: [{ ErrorCode: 12, ErrorDomain: 'MCMDMErrorDomain', USEnglishDescription: 'no' }],
    },
    { Status: 'NotNow', EnrollmentID: 'E', UserID: 'U', CommandUUID: 'c' },
  ];
  const values: PlistDictionary[] = [
    { a: [1, -1, 2 ** 53, 1.5, true, new Date(0), Buffer.from('abc'), 'text'], b: { c: { d: [[]] } }, e: 2n ** 63n },
  ];
  const xml = (dictionaries: readonly PlistDictionary[], maxBytes = 1024 * kib) =>
    text(
      dictionaries.map((dictionary) => xmlSeed(serializePlist(dictionary))),
      maxBytes,
    );
  const binary = (dictionaries: readonly PlistDictionary[]) =>
    damaged<BinarySeed>(dictionaries.map(binarySeed), mutateBinary, growBinary, 1024 * kib);
  const either = (dictionaries: readonly PlistDictionary[]): Generate => {
    const [asXml, asBinary] = [xml(dictionaries), binary(dictionaries)];
    return (random, grown) => (random.chance(0.7) ? asXml(random, grown) : asBinary(random, grown));
  };
  const target = (name: string, generate: Generate, parse: (input: Buffer) => unknown): ParserTarget => ({
    ...{ name, weight: 8, generate, fromDevice: true },
    parse: (input) => void parse(input),
  });
  const every = [...messages, ...answers, ...values];
  return [
    target('property list, XML', xml(every), (input) => parsePlist(input)),
    target('property list, binary', binary(every), (input) => parsePlist(input)),
    target('check-in', either(messages), parseCheckin),
    target('connect', either(answers), parseConnect),
  ];
}

const jsonTokens = /[{}[\],:]|"(?:[^"\\]|\\.)*"|[^{}[\],:"]+/g;
const jsonWords = [
  ...trickyWords,
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '"',
  'null',
  'true',
  '"\\ud800"',
  '"\\u0000"',
  '[]',
  '{}',
  '1.5',
];
const json = (value: unknown): TextSeed => textSeed(JSON.stringify(value), jsonTokens, jsonWords);

function textTargets(): ParserTarget[] {
  return [formTarget(), queryTarget(), clientCertTarget(), headTarget(), importTarget(), linkTarget(), pushTarget()];
}

function formTarget(): ParserTarget {
  const form = textSeed(
    'account=anna%40example.org&password=ABCDE-FGHIJ&platform=apple&signed=1',
    /[=&]|%..|[^=&%]+/g,
    [
      ...trickyWords,
      ...['&', '=', '%', '%00', '%c3', '%ED%A0%80', '%u0041', '+', '&&&', 'a&', 'account', 'account=b', '%zz'],
    ],
  );
  const type = 'application/x-www-form-urlencoded';
  return {
    ...{ name: 'activation form', weight: 12, generate: text([form], 4 * kib), fromDevice: true },
    parse: (input) => void parseActivationForm(type, input),
  };
}

function queryTarget(): ParserTarget {
  const query = textSeed('/scep/x?operation=PKIOperation&message=MIIB%2B%2F', /[?=&]|%..|[^?=&%]+/g, [
    ...trickyWords,
    ...['&', '=', '%', '?', '#', '+', '%2B', 'operation=GetCACert', '\\', '/../', '//'],
  ]);
  const budget = { maxPairs: 16, maxNameBytes: 64, maxValueBytes: 16 * kib };
  return {
    ...{ name: 'query of an address', weight: 12, generate: text([query], 16 * kib), fromDevice: true },
    parse: (input) => void parseQuery(input.toString('latin1'), budget),
  };
}

function clientCertTarget(): ParserTarget {
  const header = textSeed(serializeClientCert(Buffer.from('certificate '.repeat(80))), /:|.{1,64}/g, [
    ...trickyWords,
    ...[':', '::', '=', '-_', ';a=1', ', :AA==:', '"', '\t'],
  ]);
  return {
    ...{ name: 'Client-Cert header', weight: 12, generate: text([header], 16 * kib), fromDevice: true },
    parse: (input) => void parseClientCert(input.toString('latin1')),
  };
}

/** A request's head as node:http gives it, told in lines: method, target, Host headers. */
function headTarget(): ParserTarget {
  const token = 'a'.repeat(43);
  const seeds = [
    `PUT /mdm/${token}/connect\nmdm.example.org:8443`,
    `GET https://h/scep/${token}?operation=GetCACaps\n[::1]:1`,
  ].map((head) =>
    textSeed(head, /\n| |[/?:.]|[^\n /?:.]+/g, [
      ...trickyWords,
      ...[
        '\n',
        'a b',
        'a/b',
        '[::1]',
        '[',
        '@',
        '%41',
        ':99999',
        '.',
        '/',
        '?',
        '//',
        'http://',
        'POST',
        'connect',
        token,
      ],
    ]),
  );
  return {
    ...{ name: 'request head and Host', weight: 12, generate: text(seeds, 20 * kib), fromDevice: false },
    parse: (input) => {
      // Node takes no more than 2,000 headers.
      const [line = '', ...hosts] = input.toString('latin1').split('\n', 2000);
      const [method = '', url = ''] = line.split(' ', 2);
      const head = readHead(
        {
          ...{ method, url, httpVersionMajor: 1, httpVersionMinor: 1 },
          headers: { host: hosts[0] },
          rawHeaders: hosts.flatMap((host) => ['Host', host]),
        } as IncomingMessage,
        registeredPlatforms,
      );
      if ('status' in head) {
        assert.ok(head.status >= 400 && head.status < 500, `answered ${head.status}`);
        throw new BrambleError((JSON.parse(head.body.toString()) as { code: ErrorCode }).code, 'refused');
      }
      assert.match(head.url, /^\/[\x21-\x7e]*$/);
      assert.match(head.method, /^(?:GET|POST|PUT)$/);
      assert.equal(hosts.length, 1);
      assert.match(hosts[0] ?? '', /^[\x21-\x7e]+$/);
    },
  };
}

function importTarget(): ParserTarget {
  const line = (name: string) => JSON.stringify({ name, displayName: 'Anna', groups: ['a'], instance: 'server-1' });
  const seeds = [`${line('anna')}\n${line('bob')}\n`, `\ufeff${line('anna')}`].map((lines) =>
    textSeed(lines, /\n|[{}[\],:]|"(?:[^"\\]|\\.)*"|[^\n{}[\],:"]+/g, [...jsonWords, '\n', '"group"', '"__proto__":1']),
  );
  return {
    ...{ name: 'import of accounts', weight: 6, generate: text(seeds, 128 * kib), fromDevice: false },
    parse: async (input) => {
      async function* pieces(): AsyncGenerator<Uint8Array> {
        const at = input.length >> 1;
        yield input.subarray(0, at);
        yield input.subarray(at);
      }
      for await (const batch of accountBatches(pieces())) assert.ok(batch.length > 0);
    },
  };
}

function linkTarget(): ParserTarget {
  const { privateKey, publicKey } = linkKeys;
  const component = {
    ...{ name: 'server-1', host: 'here', bootId: 'boot', processId: 1, release: '1.2.0', linkVersions: [1] },
    features: ['a-feature'],
  };
  const token = 'a'.repeat(43);
  const answers = {
    nonce: 'n'.repeat(16),
    answers: [{ token, identifier: 'S10000001' }],
    issuedAt: '2026-01-01T00:00:00Z',
  };
  const shapes = [
    [helloShape, { ...component, identifier: 'S10000001', kind: 'server' }],
    [acceptedShape, { linkVersion: 1, router: 'router-1' }],
    [refusedShape, { code: 'ERR_LINK_REVOKED', message: 'no' }],
    [routeQuestionShape, { nonce: 'n'.repeat(16), tokens: [token], certificates: ['0'.repeat(64)] }],
    [routeAnswersShape, answers],
    [
      revocationListShape,
      { number: 1, revoked: [{ serial: 'ab', identifier: 'S10000001', expiresAt: 'x' }], cleared: [] },
    ],
    [routerRegistrationShape, { ...component, loopbackUrl: 'http://127.0.0.1:1', links: [], tunnelsOpen: 0 }],
    [envelopeShape, signEnvelope(answers, privateKey)],
  ] as const;
  const seeds = shapes.map(([, value]) => json(value));
  return {
    ...{ name: 'link message', weight: 8, generate: text(seeds, 256 * kib), fromDevice: false },
    parse: (input) => {
      const value = parseJson(input.toString());
      let refused: unknown;
      let taken = 0;
      for (const [shape] of shapes) {
        try {
          parseMessage(shape, value);
          taken += 1;
        } catch (error) {
          if (!isBrambleError(error)) throw error;
          refused = error;
        }
      }
      openLinkEnvelopeOrRefuse(value, publicKey);
      if (taken === 0) throw refused;
    },
  };
}

const linkKeys = await (async () => {
  const authority = await createAuthority({ commonName: 'Domain', algorithm: 'EC-P256', days: 1 });
  return { privateKey: authority.privateKeyPem, publicKey: createPublicKey(authority.privateKeyPem) };
})();

function openLinkEnvelopeOrRefuse(value: unknown, key: typeof linkKeys.publicKey): void {
  try {
    openLinkEnvelope(value, routeAnswersShape, key);
  } catch (error) {
    if (!isBrambleError(error)) throw error;
  }
}

function pushTarget(): ParserTarget {
  return {
    ...{ name: 'answer of the push service', weight: 4, generate: text([json({ reason: 'BadDeviceToken' })], 4 * kib) },
    parse: (input) => {
      for (const status of [200, 400, 410, 429, 503]) assert.ok(parsePushAnswer(status, input.toString()).outcome);
    },
    fromDevice: false,
    refusesNothing: true,
  };
}

/** What is thrown at what a device sent must be answered as the device's fault. */
export function isSenderFault(error: unknown): boolean {
  const { status } = answerOfError(error, appleProtocol.faults);
  return status >= 400 && status < 500 && status !== 401 && status !== 403;
}
