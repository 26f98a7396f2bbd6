/**
 * The SCEP service of an instance, independent of the transport: issues and renews the identity certificate of a device
 * that was offered an enrolment. Devices without SCEP get theirs here too, in the same turns.
 *
 *   token → owner → the same message's answer → turn → offer open → message opened → challenge → issued
 *
 * Protects: keys are used only when nothing cheaper settles the request, and one token's requests do not delay those of
 * others (`identity-turns.ts`).
 * @see RFC 8894
 */
import type { InstanceId } from '../base/ids.ts';
import type { Queryable } from '../database/connection.ts';
import { databaseTime } from '../database/database-time.ts';
import { type EnrollingDevice, enrollingDevice } from '../devices/device-identity.ts';
import type { IdentityRequest } from '../platforms/protocol.ts';
import { scepCapabilities } from '../protocol/scep/attributes.ts';
import type { RegistrationAuthority } from '../protocol/scep/server-message.ts';
import { fingerprintOf } from '../protocol/x509/certificate-fields.ts';
import type { FenceMiss } from './fence-miss.ts';
import { closedTo, type IdentityDecision, IdentityIssuer, type IssuingAuthorities, missOf } from './identity-issuer.ts';
import { createIdentityPlaces, createIdentityTurns, type IdentityTurns } from './identity-turns.ts';
import { createScepAnswers, type MalformedScep, type ScepAnswer } from './scep-answers.ts';
import { createScepRegistrations, type ScepAuthorities } from './scep-registrations.ts';

interface ScepRequest {
  /** The query parameter `operation`. */
  readonly operation: string;
  /** The path token of the device's SCEP address. */
  readonly token: string;
  /** The message of a PKIOperation: the body of a POST, or the decoded `message` parameter of a GET. */
  readonly message: Uint8Array;
}

interface IssueRequest {
  /** The path token of the device's address. */
  readonly token: string;
  /** The message as it was received, and what its protocol read in it. */
  readonly message: Uint8Array;
  readonly asked: IdentityRequest;
}

/** Another instance has the device, or none. */
type Miss = { readonly kind: 'unknown-token' } | FenceMiss;

/** Too many requests are queued, for this token or in total: retry later. */
interface Busy {
  readonly kind: 'busy';
}

type ScepOutcome = ScepAnswer | MalformedScep | { readonly kind: 'unknown-operation' } | Miss | Busy;

export interface ScepService {
  handleScep(request: ScepRequest): Promise<ScepOutcome>;
  /** Messages opened so far: each costs private-key work on the event loop. */
  readonly opened: number;
  /** The same for requests by other protocols. */
  issue(request: IssueRequest): Promise<IdentityDecision | Miss | Busy>;
}

/** The device authority signs identities; `registrationActive` decides which authority is announced to devices. */
export function createScepService(options: {
  readonly db: Queryable;
  readonly instanceId: InstanceId;
  /** As they are now: an administration service replaces them while instances run. */
  readonly authorities: () => Promise<ScepAuthorities & IssuingAuthorities>;
  readonly registrationActive: () => Promise<boolean>;
  /** Whether every component accepts that an enrolment may have two identities for a while. */
  readonly renewalActive: () => Promise<boolean>;
  /** Default: the database's. */
  readonly now?: () => Promise<Date>;
}): ScepService {
  const { db, instanceId, authorities, registrationActive, renewalActive, now = () => databaseTime(db) } = options;
  let opening: { of: ScepAuthorities; registrations: ReturnType<typeof createScepRegistrations> } | undefined;
  const presentRegistrations = async () => {
    const of = await authorities();
    if (opening?.of !== of) opening = { of, registrations: createScepRegistrations(of, registrationActive) };
    return opening.registrations;
  };
  const identities = new IdentityIssuer({ db, instanceId, authorities, renewalActive, now });
  const answers = createScepAnswers(identities);
  const places = createIdentityPlaces();
  const scepTurns = createIdentityTurns<ScepOutcome>(places);
  const issueTurns = createIdentityTurns<IdentityDecision | Miss>(places);

  async function servedDevice(token: string): Promise<EnrollingDevice | Miss> {
    const device = await enrollingDevice(db, instanceId, token);
    if (device === undefined) return { kind: 'unknown-token' };
    return device.mine ? device : await missOf(db, instanceId, token);
  }

  async function pkiOperation(token: string, message: Uint8Array): Promise<ScepOutcome> {
    const device = await servedDevice(token);
    if ('kind' in device) return device;
    const known = await (await presentRegistrations()).current();
    const situation = (of: EnrollingDevice) => situationOf(of, known[0]);
    return await answerInTurn(scepTurns, { token, message, device, situation }, async (present) => {
      const { outcome, issues } = await answers.answer(present, message, known);
      const remembers = outcome.kind === 'answer' || outcome.kind === 'malformed';
      return { answer: kept(outcome), remembers, issues: issues === true };
    });
  }

  async function issue({ token, message, asked }: IssueRequest): Promise<IdentityDecision | Miss | Busy> {
    const device = await servedDevice(token);
    if ('kind' in device) return device;
    return await answerInTurn(issueTurns, { token, message, device, situation: situationOf }, async (present) => {
      const answer = keptDecision(await identities.decide(present, asked));
      const issues = answer.kind === 'certificate';
      return { answer, remembers: issues || answer.kind === 'refused', issues };
    });
  }

  /** Looks at the device again: it may have changed during the wait, perhaps by a request of the same token. */
  async function answerInTurn<Answer>(
    turns: IdentityTurns<Answer | Miss>,
    request: {
      readonly token: string;
      readonly message: Uint8Array;
      readonly device: EnrollingDevice;
      readonly situation: (device: EnrollingDevice) => string;
    },
    work: (device: EnrollingDevice) => Promise<{ answer: Answer; remembers: boolean; issues: boolean }>,
  ): Promise<Answer | Miss | Busy> {
    const { token, message, situation } = request;
    const outcome = await turns.take({ token, message, situation: situation(request.device) }, async (recall) => {
      const device = await servedDevice(token);
      if ('kind' in device) return { answer: device, situation: null };
      const before = situation(device);
      const given = recall(before);
      if (given !== undefined) return { answer: given, situation: before };
      const { answer, remembers, issues } = await work(device);
      // A certificate changes what the next answer depends on, so the situation is read again.
      const after = issues ? await enrollingDevice(db, instanceId, token) : device;
      return { answer, situation: remembers && after !== undefined ? situation(after) : null };
    });
    return outcome === 'busy' ? { kind: 'busy' } : outcome;
  }

  return {
    async handleScep({ operation, token, message }) {
      switch (operation) {
        case 'GetCACaps':
          return { kind: 'answer', contentType: 'text/plain', body: Buffer.from(scepCapabilities) };
        case 'GetCACert':
          return { kind: 'answer', ...(await (await presentRegistrations()).announcement()) };
        case 'PKIOperation':
          return await pkiOperation(token, message);
        default:
          return { kind: 'unknown-operation' };
      }
    },
    issue,
    get opened() {
      return answers.opened;
    },
  };
}

/** Everything besides the message that an answer depends on: the same situation gives the same answer. */
function situationOf(device: EnrollingDevice, first?: RegistrationAuthority): string {
  const { identityFingerprint, scepChallenge, renewal } = device;
  const { challenge, open, issuedFor, identityKey = null } = renewal ?? {};
  const next = [challenge, open, issuedFor, identityKey?.toString('hex')];
  return JSON.stringify([
    closedTo(device),
    identityFingerprint,
    scepChallenge,
    next,
    first && fingerprintOf(first.raCertificate),
  ]);
}

/** Copied: a small buffer is a view into a shared 64 KiB block, and keeping it would keep the whole block. */
function kept(outcome: ScepOutcome): ScepOutcome {
  return outcome.kind === 'answer' ? { ...outcome, body: Buffer.from(new Uint8Array(outcome.body).buffer) } : outcome;
}

function keptDecision(decision: IdentityDecision): IdentityDecision {
  if (decision.kind !== 'certificate') return decision;
  return { ...decision, certificateDer: new Uint8Array(decision.certificateDer) };
}
