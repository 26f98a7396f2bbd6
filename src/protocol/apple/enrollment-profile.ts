/**
 * The enrolment profile: trust anchors, one SCEP payload, and one MDM payload that takes its identity from it.
 * Invariant: ServerURL, CheckInURL and Topic never change for an enrolment, and all identifiers come from the enrolment's
 * seed, so that downloading the profile again gives the same one.
 * @see Apple "Device Management", MDM and SCEP payloads
 */
import { BrambleError } from '../../base/errors.ts';
import type { PlistDictionary } from '../plist/value.ts';
import { fingerprintOf } from '../x509/certificate-fields.ts';
import type { DistinguishedName } from '../x509/name.ts';
import { MessageFields } from './message-fields.ts';
import { buildProfile, type ProfilePayload, parseProfile, uuidFromSeed } from './profile.ts';

interface EnrollmentProfileOptions {
  readonly organization: string;
  /** Reverse-DNS prefix of all payload identifiers, such as `org.example.bramble`. */
  readonly identifierPrefix: string;
  /** The seed of all UUIDs; the same for the same enrolment. Not contained in the profile. */
  readonly seed: string;
  readonly checkInUrl: string;
  readonly serverUrl: string;
  readonly scepUrl: string;
  readonly challenge: string;
  readonly subject: DistinguishedName;
  readonly topic: string;
  /** Trust anchors to install. */
  readonly authorityCertificatesDer: readonly Uint8Array[];
  /** Whether devices sign messages in `Mdm-Signature` (default), besides the TLS client certificate. */
  readonly signMessage?: boolean;
  readonly accessRights?: number;
  readonly capabilities?: readonly string[];
}

const payloadType = { root: 'com.apple.security.root', scep: 'com.apple.security.scep', mdm: 'com.apple.mdm' } as const;
const allAccessRights = 8191;
const defaultCapabilities = [
  'com.apple.mdm.per-user-connections',
  'com.apple.mdm.bootstraptoken',
  'com.apple.mdm.token',
];

/** PayloadIdentifier of the whole profile: what RemoveProfile names to end an enrolment. */
export function enrollmentProfileIdentifier(identifierPrefix: string): string {
  return `${identifierPrefix}.enrollment`;
}

/** The profile as an unsigned XML plist; `signAttached` makes the signed form of it. */
export function buildEnrollmentProfile(options: EnrollmentProfileOptions): Buffer {
  const { organization, identifierPrefix, seed } = options;
  const identifier = (name: string) => `${enrollmentProfileIdentifier(identifierPrefix)}.${name}`;
  const scepUuid = uuidFromSeed(`${seed}/scep`);
  const roots = options.authorityCertificatesDer.map((der): ProfilePayload => {
    const fingerprint = fingerprintOf(der);
    return {
      type: payloadType.root,
      identifier: identifier(`root.${fingerprint.slice(0, 16)}`),
      uuid: uuidFromSeed(`${seed}/root/${fingerprint}`),
      displayName: `${organization} authority`,
      content: { PayloadCertificateFileName: 'authority.cer', PayloadContent: der },
    };
  });
  const scep: ProfilePayload = {
    type: payloadType.scep,
    identifier: identifier('scep'),
    uuid: scepUuid,
    displayName: `${organization} device identity`,
    content: {
      PayloadContent: {
        URL: options.scepUrl,
        Subject: subjectArray(options.subject),
        Challenge: options.challenge,
        'Key Type': 'RSA',
        Keysize: 2048,
        // Signing and key encipherment.
        'Key Usage': 5,
        Retries: 3,
        RetryDelay: 10,
      },
    },
  };
  const mdm: ProfilePayload = {
    type: payloadType.mdm,
    identifier: identifier('mdm'),
    uuid: uuidFromSeed(`${seed}/mdm`),
    displayName: `${organization} device management`,
    content: {
      ServerURL: options.serverUrl,
      CheckInURL: options.checkInUrl,
      Topic: options.topic,
      IdentityCertificateUUID: scepUuid,
      AccessRights: options.accessRights ?? allAccessRights,
      CheckOutWhenRemoved: true,
      SignMessage: options.signMessage ?? true,
      ServerCapabilities: options.capabilities ?? defaultCapabilities,
    },
  };
  return buildProfile({
    identifier: enrollmentProfileIdentifier(identifierPrefix),
    uuid: uuidFromSeed(`${seed}/profile`),
    displayName: `${organization} enrolment`,
    organization,
    payloads: [...roots, scep, mdm],
  });
}

/** Apple's form: an array of relative names, each an array of pairs. */
function subjectArray(subject: DistinguishedName): string[][][] {
  const pairs: [string, string | undefined][] = [
    ['O', subject.organization],
    ['OU', subject.organizationalUnit],
    ['CN', subject.commonName],
  ];
  return pairs.flatMap(([name, value]) => (value === undefined ? [] : [[[name, value]]]));
}

export interface ParsedEnrollmentProfile {
  readonly checkInUrl: string;
  readonly serverUrl: string;
  readonly topic: string;
  readonly signMessage: boolean;
  readonly accessRights: number;
  readonly scepUrl: string;
  readonly challenge: string | undefined;
  readonly keySizeBits: number;
  readonly subject: DistinguishedName;
  readonly authorityCertificatesDer: readonly Uint8Array[];
  readonly profileUuid: string;
  readonly profileIdentifier: string;
}

/**
 * What a device takes from the profile, signed or not (the signature is not verified).
 * @throws BrambleError ERR_PROFILE_MALFORMED when there is not exactly one SCEP and one MDM payload, or they do not match
 */
export function parseEnrollmentProfile(bytes: Uint8Array): ParsedEnrollmentProfile {
  const profile = parseProfile(bytes);
  const scep = only(profile.payloads, payloadType.scep);
  const mdmPayload = only(profile.payloads, payloadType.mdm);
  const mdm = new MessageFields(mdmPayload.content, 'ERR_PROFILE_MALFORMED', 'MDM payload');
  const content = new MessageFields(scep.content['PayloadContent'], 'ERR_PROFILE_MALFORMED', 'SCEP payload');
  if (mdm.identifier('IdentityCertificateUUID') !== scep.uuid) {
    throw mdm.malformed('its identity certificate is not the SCEP payload');
  }
  const roots = profile.payloads.filter(({ type }) => type === payloadType.root);
  return {
    checkInUrl: mdm.optionalText('CheckInURL') ?? requiredText(mdm, 'ServerURL'),
    serverUrl: requiredText(mdm, 'ServerURL'),
    topic: mdm.identifier('Topic'),
    signMessage: mdm.optionalBoolean('SignMessage') ?? false,
    accessRights: mdm.optionalInteger('AccessRights') ?? 0,
    scepUrl: requiredText(content, 'URL'),
    challenge: content.optionalText('Challenge'),
    keySizeBits: content.optionalInteger('Keysize') ?? 1024,
    subject: readSubject(content),
    authorityCertificatesDer: roots.map((root) => certificateIn(root.content)),
    profileUuid: profile.uuid,
    profileIdentifier: profile.identifier,
  };
}

function only(payloads: readonly ProfilePayload[], type: string): ProfilePayload {
  const [first, second] = payloads.filter((payload) => payload.type === type);
  if (first === undefined || second !== undefined) {
    throw new BrambleError('ERR_PROFILE_MALFORMED', `The profile does not contain exactly one payload ${type}.`);
  }
  return first;
}

function requiredText(fields: MessageFields, name: string): string {
  const text = fields.optionalText(name);
  if (text === undefined || text === '') throw fields.malformed(`${name} is missing`);
  return text;
}

function certificateIn(content: PlistDictionary): Uint8Array {
  return new MessageFields(content, 'ERR_PROFILE_MALFORMED', 'root payload').data('PayloadContent');
}

function readSubject(fields: MessageFields): DistinguishedName {
  const found: Record<string, string> = {};
  for (const relative of fields.optionalArray('Subject') ?? []) {
    for (const pair of Array.isArray(relative) ? relative : []) {
      const [name, value] = Array.isArray(pair) ? pair : [];
      if (typeof name !== 'string' || typeof value !== 'string')
        throw fields.malformed('Subject does not consist of pairs');
      found[name] ??= value;
    }
  }
  const { O: organization, OU: organizationalUnit, CN: commonName } = found;
  return {
    ...(organization === undefined ? {} : { organization }),
    ...(organizationalUnit === undefined ? {} : { organizationalUnit }),
    ...(commonName === undefined ? {} : { commonName }),
  };
}
