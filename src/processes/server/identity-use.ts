/**
 * How devices prove their identity at this instance: days on which they used TLS, and signed messages without it.
 * Gathered in memory and written about every second, each kind in one statement; a killed process or a failed statement
 * loses a second of it. Invariant: the memory used is bounded, and a device costs one write a day for its TLS.
 */
import type { Clock } from '../../base/clock.ts';
import type { DeviceId, InstanceId } from '../../base/ids.ts';
import type { Database } from '../../database/connection.ts';
import { maxKept, storeSignedMessages } from '../../devices/repeated-messages.ts';
import { recordTlsDays, tlsIdentityFeature } from '../../devices/tls-identity.ts';
import { type Feature, isFeatureActive } from '../../registry/features.ts';

export interface IdentityUse {
  /** The device's key was used in TLS with a router. */
  usedTls(deviceId: DeviceId): void;
  /** The device's signature came without TLS; `digest` is of the signed content. */
  signedOnly(deviceId: DeviceId, digest: Buffer): void;
  /** Whether TLS identities can be required: not before every component supports that. */
  tlsCanBeRequired(): Promise<boolean>;
  /** Writes the gathered data. */
  flush(): Promise<void>;
}

const devicesInAStatement = 500;
/** Devices remembered as recorded today; beyond that they are recorded again, which changes nothing. */
const maxNoted = 100_000;
/** Devices waiting to be written, per kind; beyond that new ones are not recorded. */
const maxWaiting = 20_000;
const dayMs = 24 * 60 * 60 * 1000;

export function createIdentityUse(parts: {
  db: Database;
  instanceId: InstanceId;
  features: readonly Feature[];
  clock: Clock;
}): IdentityUse {
  const { db, instanceId, features, clock } = parts;
  const noted = { day: 0, devices: new Set<DeviceId>() };
  const tlsUsers = new Set<DeviceId>();
  let signed = new Map<DeviceId, Map<string, number>>();
  let requires = false;

  async function tlsCanBeRequired(): Promise<boolean> {
    // Once active, it stays active.
    requires ||= await isFeatureActive(db, features, tlsIdentityFeature);
    return requires;
  }

  function forgetYesterday(): void {
    const day = Math.floor(clock.now() / dayMs);
    if (day === noted.day && noted.devices.size < maxNoted) return;
    noted.day = day;
    noted.devices.clear();
  }

  async function flushTls(): Promise<void> {
    while (tlsUsers.size > 0) {
      const batch = [...tlsUsers].slice(0, devicesInAStatement);
      const written = await recordTlsDays(db, instanceId, batch, await tlsCanBeRequired());
      for (const deviceId of written) noted.devices.add(deviceId);
      // A device that a move holds, or took, is recorded again with its next request.
      for (const deviceId of batch) tlsUsers.delete(deviceId);
    }
  }

  async function flushSigned(): Promise<void> {
    const batch = signed;
    signed = new Map();
    const messages = [...batch].map(([deviceId, counts]) => ({
      deviceId,
      digests: [...counts.keys()].slice(-maxKept).map((digest) => Buffer.from(digest, 'hex')),
      repeats: [...counts.values()].reduce((sum, count) => sum + count - 1, 0),
    }));
    for (let start = 0; start < messages.length; start += devicesInAStatement) {
      await storeSignedMessages(db, instanceId, messages.slice(start, start + devicesInAStatement));
    }
  }

  return {
    tlsCanBeRequired,
    usedTls(deviceId) {
      forgetYesterday();
      if (!noted.devices.has(deviceId) && tlsUsers.size < maxWaiting) tlsUsers.add(deviceId);
    },
    signedOnly(deviceId, digest) {
      const counts = signed.get(deviceId) ?? new Map<string, number>();
      if (!signed.has(deviceId)) {
        if (signed.size >= maxWaiting) return;
        signed.set(deviceId, counts);
      }
      const key = digest.toString('hex');
      if (counts.has(key) || counts.size < 2 * maxKept) counts.set(key, (counts.get(key) ?? 0) + 1);
    },
    async flush() {
      await flushTls();
      await flushSigned();
    },
  };
}
