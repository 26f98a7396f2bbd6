/**
 * Configuration profiles. Invariant: identifiers and UUIDs come from the caller (or from a seed), so that the same profile
 * is always the same bytes, and a newer one replaces the older under the same identifier.
 * @see Apple "Device Management", TopLevel and CommonPayloadKeys
 */
import { createHash } from 'node:crypto';
import { BrambleError, isBrambleError } from '../../base/errors.ts';
import { readSignedData } from '../cms/signed-data.ts';
import { serializePlist } from '../plist/serializer.ts';
import type { PlistDictionary } from '../plist/value.ts';
import { MessageFields } from './message-fields.ts';

export interface ProfilePayload {
  /** Such as `com.apple.applicationaccess`. */
  readonly type: string;
  readonly identifier: string;
  readonly uuid: string;
  readonly displayName?: string;
  /** The payload's own keys under Apple's names. */
  readonly content: PlistDictionary;
}

interface Profile {
  readonly identifier: string;
  readonly uuid: string;
  readonly displayName: string;
  readonly organization: string;
  readonly payloads: readonly ProfilePayload[];
  /** Further keys of the top level, such as `PayloadRemovalDisallowed`. */
  readonly topLevel?: PlistDictionary;
}

/** A UUID in upper case that is always the same for the same seed. @see RFC 9562 §5.8 (version 8) */
export function uuidFromSeed(seed: string): string {
  const bytes = createHash('sha256').update(seed, 'utf8').digest().subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex').toUpperCase();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The profile as an XML plist, unsigned. @throws BrambleError ERR_PLIST_MALFORMED for text that XML cannot hold */
export function buildProfile(profile: Profile): Buffer {
  return Buffer.from(
    serializePlist({
      PayloadContent: profile.payloads.map((payload) => ({
        PayloadType: payload.type,
        PayloadVersion: 1,
        PayloadIdentifier: payload.identifier,
        PayloadUUID: payload.uuid,
        ...(payload.displayName === undefined ? {} : { PayloadDisplayName: payload.displayName }),
        ...payload.content,
      })),
      PayloadDisplayName: profile.displayName,
      PayloadIdentifier: profile.identifier,
      PayloadOrganization: profile.organization,
      ...profile.topLevel,
      PayloadType: 'Configuration',
      PayloadUUID: profile.uuid,
      PayloadVersion: 1,
    }),
  );
}

const code = 'ERR_PROFILE_MALFORMED';
const payloadKeys = ['PayloadType', 'PayloadVersion', 'PayloadIdentifier', 'PayloadUUID', 'PayloadDisplayName'];
const profileKeys = [...payloadKeys, 'PayloadContent', 'PayloadOrganization'];

/**
 * A profile, bare or in a SignedData, whose signature is *not* verified (`verifyAttached` does that).
 * @throws BrambleError ERR_PROFILE_MALFORMED, ERR_PLIST_TOO_DEEP, ERR_PLIST_TOO_LARGE
 */
export function parseProfile(bytes: Uint8Array): Profile {
  const fields = MessageFields.parse(unwrapped(bytes), code, 'profile');
  if (fields.optionalText('PayloadType') !== 'Configuration')
    throw fields.malformed('it is not a configuration profile');
  const payloads = (fields.optionalArray('PayloadContent') ?? []).map((value): ProfilePayload => {
    const payload = new MessageFields(value, code, 'payload of the profile');
    const displayName = payload.optionalText('PayloadDisplayName');
    return {
      type: payload.identifier('PayloadType'),
      identifier: payload.identifier('PayloadIdentifier'),
      uuid: payload.identifier('PayloadUUID'),
      ...(displayName === undefined ? {} : { displayName }),
      content: without(payload.dictionary, payloadKeys),
    };
  });
  return {
    identifier: fields.identifier('PayloadIdentifier'),
    uuid: fields.identifier('PayloadUUID'),
    displayName: fields.optionalText('PayloadDisplayName') ?? '',
    organization: fields.optionalText('PayloadOrganization') ?? '',
    payloads,
    topLevel: without(fields.dictionary, profileKeys),
  };
}

function unwrapped(bytes: Uint8Array): Uint8Array {
  if (bytes[0] !== 0x30) return bytes;
  try {
    return readSignedData(bytes).content ?? new Uint8Array();
  } catch (error) {
    if (!isBrambleError(error, 'ERR_DER_MALFORMED')) throw error;
    throw new BrambleError(code, `The signed profile cannot be read: ${error.message}`, { cause: error });
  }
}

function without(dictionary: PlistDictionary, keys: readonly string[]): PlistDictionary {
  return Object.fromEntries(Object.entries(dictionary).filter(([key]) => !keys.includes(key)));
}
