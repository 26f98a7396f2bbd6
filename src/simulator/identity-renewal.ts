/**
 * What a device does when its enrolment profile is installed again: it makes a new key, has it certified, and
 * identifies itself by that from then on. Like real ones, it refuses a profile that would change its addresses, its
 * topic or its rights.
 */
import { messageOf } from '../base/errors.ts';
import { type ParsedEnrollmentProfile, parseEnrollmentProfile } from '../protocol/apple/enrollment-profile.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import type { Behaviour } from './behaviour.ts';
import { type Execution, failed } from './command-execution.ts';
import type { DeviceHttp } from './device-http.ts';
import type { DeviceIdentity, DeviceLink } from './device-link.ts';
import { authenticateBody, requestCertificate, tokenUpdateBody, untilAccepted } from './enrolment.ts';
import type { DevicePlan } from './fleet-plan.ts';
import type { JournalEvent } from './journal.ts';
import { generateKeyPool } from './key-pool.ts';
import { pemOf } from './loopback-certificate.ts';
import { profileFacts } from './profile-facts.ts';
import type { SeededRandom } from './seeded-random.ts';

interface RenewalSurroundings {
  readonly plan: DevicePlan;
  readonly random: SeededRandom;
  readonly behaviour: Behaviour;
  readonly http: DeviceHttp;
  readonly link: DeviceLink;
  /** What the device enrolled by. */
  readonly facts: ParsedEnrollmentProfile;
  readonly rootsPem: readonly string[];
  readonly pushToken: Buffer;
  journal(event: JournalEvent): void;
  pause(attempt: number): Promise<boolean>;
  /** The device has another identity. */
  renewed(identity: DeviceIdentity): void;
}

/** `crashed`: the device died after receiving the certificate, and is back in its previous state. */
export async function renewIdentity(
  commandUuid: string,
  profile: Uint8Array,
  around: RenewalSurroundings,
): Promise<Execution | 'crashed'> {
  const { plan, random, behaviour, http, link, facts, journal, pause } = around;
  const acknowledged: Execution = { status: 'Acknowledged', content: {}, effects: [] };
  if (random.chance(behaviour.renewalErrorProbability)) return failed(4001, 'The profile could not be installed');
  if (random.chance(behaviour.renewalIgnoredProbability)) return acknowledged;
  let asked: ParsedEnrollmentProfile;
  try {
    asked = parseEnrollmentProfile(profile);
  } catch (error) {
    return failed(1000, `The profile is invalid: ${messageOf(error)}`);
  }
  const changed = unchangeable.filter((name) => asked[name] !== facts[name]);
  if (changed.length > 0) return failed(4001, `The update would change ${changed.join(', ')}`);

  const [keyPair] = await generateKeyPool(1);
  if (keyPair === undefined) throw new RangeError('no key pair was made');
  const certificate = await requestCertificate(asked, { http, journal, keyPair, pause });
  if (certificate.kind !== 'certificate') return failed(15_002, 'Unable to obtain certificate from SCEP server');
  if (random.chance(behaviour.renewalCrashProbability)) return 'crashed';
  const { certificateDer } = certificate;
  const identity = { key: keyPair.privateKey, keyPem: keyPair.privateKeyPem, certificateDer };
  http.setTrust({
    rootsPem: around.rootsPem,
    identity: { certificatePem: pemOf(certificateDer), keyPem: keyPair.privateKeyPem },
  });
  link.use(identity);
  around.renewed(identity);
  journal({ event: 'identity-renewed', commandUuid, fingerprint: fingerprintOf(certificateDer) });
  if (random.chance(behaviour.authenticateProbability)) {
    await untilAccepted({ pause }, () => link.checkIn('authenticate', authenticateBody(plan, facts.topic)));
    const token = tokenUpdateBody(plan, facts.topic, around.pushToken, plan.pushMagic);
    await untilAccepted({ pause }, () => link.checkIn('token-update', token));
  }
  const installed: JournalEvent = { event: 'profile-installed', commandUuid, profile: profileFacts(profile) };
  return { ...acknowledged, effects: [installed] };
}

const unchangeable = ['checkInUrl', 'serverUrl', 'topic', 'accessRights', 'profileIdentifier'] as const;
