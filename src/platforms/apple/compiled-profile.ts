/**
 * One Apple configuration profile built from payloads: both IT policies and service books are compiled to it.
 * Invariant: PayloadIdentifier depends on domain and kind only, so that each compilation, of whatever release, replaces
 * the one before; PayloadUUID depends on the content only, so that equal content is recognised as equal.
 */
import { createHash } from 'node:crypto';
import { buildProfile, uuidFromSeed } from '../../protocol/apple/profile.ts';
import { serializePlist } from '../../protocol/plist/serializer.ts';
import type { PlistDictionary } from '../../protocol/plist/value.ts';
import type { SkippedPart } from '../order.ts';

export interface CompiledProfile {
  /** The property list, as it goes into InstallProfile. */
  readonly bytes: Uint8Array;
  /** SHA-256 of the bytes, 16 hex digits. */
  readonly revision: string;
  /** PayloadIdentifier. */
  readonly identifier: string;
  readonly skipped: readonly SkippedPart[];
}

interface ProfileParts {
  readonly identifier: string;
  readonly displayName: string;
  readonly description: string;
  readonly organization: string;
  /** The compiler's release, `BrambleRelease` in the profile. */
  readonly release: string;
  readonly payloads: readonly {
    readonly type: string;
    /** Appended to the profile's identifier after a dot. */
    readonly name: string;
    readonly displayName: string;
    readonly description?: string;
    readonly content: PlistDictionary;
  }[];
  readonly skipped: readonly SkippedPart[];
}

/** Serialises the parts. @see Apple device-management, mdm/profiles/TopLevel */
export function compileProfile(parts: ProfileParts): CompiledProfile {
  const payloads = parts.payloads.map((payload) => {
    const identified = {
      type: payload.type,
      identifier: `${parts.identifier}.${payload.name}`,
      displayName: payload.displayName,
      content: {
        ...(payload.description === undefined ? {} : { PayloadDescription: payload.description }),
        ...payload.content,
      },
    };
    return { ...identified, uuid: uuidFromSeed(serializePlist(identified)) };
  });
  const profile = {
    identifier: parts.identifier,
    displayName: parts.displayName,
    organization: parts.organization,
    topLevel: { PayloadDescription: parts.description, BrambleRelease: parts.release },
    payloads,
  };
  const bytes = buildProfile({ ...profile, uuid: uuidFromSeed(serializePlist(profile)) });
  return { bytes, revision: revisionOf(bytes), identifier: parts.identifier, skipped: parts.skipped };
}

/** SHA-256 of what a device is sent, 16 hex digits. */
export function revisionOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
