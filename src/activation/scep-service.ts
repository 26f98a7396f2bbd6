/**
 * The SCEP service of an instance, independent of the transport: issues and renews the identity certificate of a device
 * that was offered an enrolment.
 *
 *   token → owner → the same message's answer → turn → offer open → message opened → challenge → issued
 *
 * Protects: keys are used only when nothing cheaper settles the request, and one token's requests do not delay those of
 * others (`identity-turns.ts`).
 * @see RFC 8894
 */
import type { InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import { type EnrollingDevice, enrollingDevice } from '../devices/device-identity.ts';
import type { InstanceAuthorities } from '../domain/authorities.ts';
import { scepCapabilities } from '../protocol/scep/attributes.ts';
import type { RegistrationAuthority } from '../protocol/scep/server-message.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import type { FenceMiss } from './fence-miss.ts';
import { closedTo, IdentityIssuer, missOf } from './identity-issuer.ts';
import { createScepTurns, type ScepTurn } from './identity-turns.ts';
import { createScepAnswers, type MalformedScep, type ScepAnswer } from './scep-answers.ts';
import { createScepRegistrations, type Registrations } from './scep-registrations.ts';

interface ScepRequest {
  /** The query parameter `operation`. */
  readonly operation: string;
  /** The path token of the device's SCEP address. */
  readonly token: string;
  /** The message of a PKIOperation: the body of a POST, or the decoded `message` parameter of a GET. */
  readonly message: Uint8Array;
}

type ScepOutcome =
  | ScepAnswer
  | MalformedScep
  | { readonly kind: 'unknown-operation' }
  | { readonly kind: 'unknown-token' }
  /** Too many requests are queued, for this token or in total: retry later. */
  | { readonly kind: 'busy' }
  | FenceMiss;

export interface ScepService {
  handleScep(request: ScepRequest): Promise<ScepOutcome>;
  /** Messages opened so far: each costs private-key work on the event loop. */
  readonly opened: number;
  /** Issues the same identities to requests by other protocols. */
  readonly identities: IdentityIssuer;
}

/** The device authority signs identities; `registrationActive` decides which authority is announced to devices. */
export function createScepService(options: {
  readonly db: Queryable;
  readonly instanceId: InstanceId;
  readonly authorities: Pick<InstanceAuthorities, 'device' | 'registration'>;
  readonly registrationActive: () => Promise<boolean>;
  /** Whether every component accepts that an enrolment may have two identities for a while. */
  readonly renewalActive: () => Promise<boolean>;
  readonly now?: () => Date;
}): ScepService {
  const { db, instanceId, authorities, registrationActive, renewalActive, now = () => new Date() } = options;
  const registrations = createScepRegistrations(authorities, registrationActive);
  const identities = new IdentityIssuer({ db, instanceId, deviceAuthority: authorities.device, renewalActive, now });
  const answers = createScepAnswers(identities);
  const turns = createScepTurns<ScepOutcome>();

  async function pkiOperation(token: string, message: Uint8Array): Promise<ScepOutcome> {
    const device = await enrollingDevice(db, instanceId, token);
    if (device === undefined) return { kind: 'unknown-token' };
    if (!device.mine) return await missOf(db, instanceId, token);
    const known = await registrations.current();
    const situation = situationOf(device, known[0]);
    const outcome = await turns.take({ token, message, situation }, () => answerInTurn(token, message, known));
    return outcome === 'busy' ? { kind: 'busy' } : outcome;
  }

  /** Looks at the device again: it may have changed during the wait, perhaps by a request of the same token. */
  async function answerInTurn(
    token: string,
    message: Uint8Array,
    known: Registrations,
  ): Promise<ScepTurn<ScepOutcome>> {
    const device = await enrollingDevice(db, instanceId, token);
    if (device === undefined) return { answer: { kind: 'unknown-token' }, situation: null };
    if (!device.mine) return { answer: await missOf(db, instanceId, token), situation: null };
    const { outcome, issues } = await answers.answer(device, message, known);
    const remembers = outcome.kind === 'answer' || outcome.kind === 'malformed';
    // A certificate changes what the next answer depends on, so the situation is read again.
    const after = issues ? await enrollingDevice(db, instanceId, token) : device;
    return { answer: kept(outcome), situation: remembers && after !== undefined ? situationOf(after, known[0]) : null };
  }

  return {
    async handleScep({ operation, token, message }) {
      switch (operation) {
        case 'GetCACaps':
          return { kind: 'answer', contentType: 'text/plain', body: Buffer.from(scepCapabilities) };
        case 'GetCACert':
          return { kind: 'answer', ...(await registrations.announcement()) };
        case 'PKIOperation':
          return await pkiOperation(token, message);
        default:
          return { kind: 'unknown-operation' };
      }
    },
    identities,
    get opened() {
      return answers.opened;
    },
  };
}

/** Everything besides the message that an answer depends on: the same situation gives the same answer. */
function situationOf(device: EnrollingDevice, first: RegistrationAuthority): string {
  const { identityFingerprint, scepChallenge, renewal } = device;
  const { challenge, open, issuedFor, identityKey = null } = renewal ?? {};
  const next = [challenge, open, issuedFor, identityKey?.toString('hex')];
  return JSON.stringify([
    closedTo(device),
    identityFingerprint,
    scepChallenge,
    next,
    fingerprintOf(first.raCertificate),
  ]);
}

/** Copied: a small buffer is a view into a shared 64 KiB block, and keeping it would keep the whole block. */
function kept(outcome: ScepOutcome): ScepOutcome {
  return outcome.kind === 'answer' ? { ...outcome, body: Buffer.from(new Uint8Array(outcome.body).buffer) } : outcome;
}
