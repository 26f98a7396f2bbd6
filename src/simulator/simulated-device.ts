/**
 * One device's life: `idle` (planned) -> `enrolling` -> `managed` -> `left`. While managed it contacts its server when it
 * is woken, on a slow schedule of its own, and soon after a failure; never twice at once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { assertNever } from '../base/assert-never.ts';
import type { Behaviour } from './behaviour.ts';
import type { DeviceMemory, Execution } from './command-execution.ts';
import { type ConnectSession, createConnectSession, type SessionOutcome } from './connect-session.ts';
import { type DeviceTrust, openDeviceHttp } from './device-http.ts';
import type { DeviceIdentity } from './device-link.ts';
import { checkOutBody, type EnrolmentOutcome, enrol, tokenUpdateBody } from './enrolment.ts';
import type { DevicePlan } from './fleet-plan.ts';
import { renewIdentity } from './identity-renewal.ts';
import type { JournalEvent } from './journal.ts';
import type { PooledKeyPair } from './key-pool.ts';
import { pemOf } from './loopback-certificate.ts';
import { ordinaryRetry, probeRetry, type RetrySchedule, retryDelayMs } from './retry-delay.ts';
import type { SeededRandom } from './seeded-random.ts';

export type DeviceState = 'planned' | 'enrolling' | 'managed' | 'left';

interface SimulatedDeviceOptions {
  readonly plan: DevicePlan;
  readonly account: string;
  readonly publicUrl: URL;
  readonly caPem: string | undefined;
  readonly keyPair: PooledKeyPair;
  readonly random: SeededRandom;
  readonly behaviour: Behaviour;
  readonly requestTimeoutMs: number;
  readonly retry?: RetrySchedule;
  journal(event: JournalEvent): void;
}

/** How a device falls silent: at once, or in the moment it is next told a command. */
export type VanishMoment = 'now' | 'with-command';

export class SimulatedDevice {
  readonly plan: DevicePlan;
  readonly account: string;
  readonly #options: SimulatedDeviceOptions;
  readonly #stop = new AbortController();
  readonly #memory: DeviceMemory;
  readonly #session: ConnectSession;
  readonly #http: ReturnType<typeof openDeviceHttp>;
  readonly #timing: SeededRandom;
  readonly #renewals: SeededRandom;
  #behaviour: Behaviour;
  #state: DeviceState = 'planned';
  #enrolment: Extract<EnrolmentOutcome, { kind: 'enrolled' }> | undefined;
  #pushToken: Buffer;
  #started = false;
  #vanished = false;
  #vanishWithCommand = false;
  #returnTimer: NodeJS.Timeout | undefined;
  #probePauseMs: number | undefined;
  #contactTimer: NodeJS.Timeout | undefined;
  #contactAt = Number.POSITIVE_INFINITY;
  #contact: Promise<void> | undefined;
  #enrolling: Promise<unknown> | undefined;
  #wokenDuringContact = false;
  #failures = 0;

  constructor(options: SimulatedDeviceOptions) {
    this.plan = options.plan;
    this.account = options.account;
    this.#options = options;
    this.#behaviour = options.behaviour;
    this.#timing = options.random.fork('timing');
    this.#renewals = options.random.fork('renewals');
    this.#pushToken = options.plan.pushToken;
    this.#memory = {
      profiles: new Map(),
      options: { ...options.plan.options },
      locked: false,
      enrolmentProfile: undefined,
    };
    this.#http = openDeviceHttp(
      { rootsPem: options.caPem === undefined ? [] : [options.caPem] },
      options.requestTimeoutMs,
      this.#stop.signal,
    );
    this.#session = createConnectSession(this.#memory, {
      plan: options.plan,
      random: options.random.fork('choices'),
      behaviour: () => this.#behaviour,
      isInterrupted: () => this.#vanished || this.#stop.signal.aborted,
      vanishesWithCommand: () => {
        if (this.#vanishWithCommand) this.#fallSilent();
        return this.#vanished;
      },
      renewIdentity: (commandUuid, profile) => this.#renewIdentity(commandUuid, profile),
      isProbing: () => this.#probePauseMs !== undefined,
      journal: (event) => options.journal(event),
    });
  }

  get name(): string {
    return this.plan.name;
  }
  get state(): DeviceState {
    return this.#state;
  }
  get isVanished(): boolean {
    return this.#vanished || this.#vanishWithCommand;
  }
  /** Lower-case hexadecimal. */
  get pushToken(): string {
    return this.#pushToken.toString('hex');
  }
  /** Known once enrolled. */
  get topic(): string | undefined {
    return this.#enrolment?.facts.topic;
  }
  get serverUrl(): URL | undefined {
    return this.#enrolment === undefined ? undefined : new URL(this.#enrolment.facts.serverUrl);
  }
  get identity(): DeviceIdentity | undefined {
    return this.#enrolment?.identity;
  }
  get pendingAnswers(): number {
    return this.#session.pendingAnswers();
  }

  /** What the device trusts, and what it shows; undefined before it is enrolled. */
  trust(): DeviceTrust | undefined {
    if (this.#enrolment === undefined) return undefined;
    const { identity, rootsPem } = this.#enrolment;
    return { rootsPem, identity: { certificatePem: pemOf(identity.certificateDer), keyPem: identity.keyPem } };
  }

  /** Enrols, and contacts its server at once when the device has been started. */
  async activate(password: string): Promise<EnrolmentOutcome> {
    this.#state = 'enrolling';
    const { plan, account, publicUrl, caPem, keyPair } = this.#options;
    const enrolling = enrol(password, {
      plan,
      account,
      publicUrl,
      caPem,
      keyPair,
      http: this.#http,
      journal: (event) => this.#options.journal(event),
      pause: (attempt) => this.#pause(retryDelayMs(this.#retry(), attempt, this.#timing)),
    });
    this.#enrolling = enrolling;
    const outcome = await enrolling;
    if (outcome.kind === 'enrolled') {
      this.#enrolment = outcome;
      this.#memory.enrolmentProfile = outcome.facts.profileIdentifier;
      this.#state = 'managed';
      if (this.#started) this.#contactWithin(0);
    } else this.#state = 'planned';
    return outcome;
  }

  /** From now on the device contacts its server on its own schedule. */
  start(): void {
    this.#started = true;
    if (this.#state === 'managed') this.#contactWithin(this.#timing.next() * this.#behaviour.contactIntervalMs);
  }

  /** A push arrived. A device that has vanished does not notice. */
  wake(): void {
    if (this.#vanished) return;
    this.#options.journal({ event: 'woken' });
    if (this.#contact !== undefined) this.#wokenDuringContact = true;
    else this.#contactWithin(this.#timing.next() * this.#behaviour.wakeJitterMs);
  }

  setBehaviour(change: Partial<Behaviour>): void {
    this.#behaviour = { ...this.#behaviour, ...change };
    if (change.contactIntervalMs !== undefined && this.#started && this.#contact === undefined) {
      this.#contactWithin(this.#timing.around(change.contactIntervalMs));
    }
  }

  /** Falls silent; after `forMs`, where given, it comes back by itself. */
  vanish(moment: VanishMoment = 'now', forMs?: number): void {
    clearTimeout(this.#returnTimer);
    if (moment === 'with-command') this.#vanishWithCommand = true;
    else this.#fallSilent();
    if (forMs !== undefined) this.#returnTimer = setTimeout(() => this.comeBack(), forMs);
  }

  comeBack(): void {
    clearTimeout(this.#returnTimer);
    this.#vanishWithCommand = false;
    if (!this.#vanished) return;
    this.#vanished = false;
    this.#options.journal({ event: 'came-back' });
    this.#contactWithin(this.#timing.next() * this.#behaviour.wakeJitterMs);
  }

  /** Closed loop: the next Idle as soon as (or `pauseMs` after) the last is answered. `undefined` ends it. */
  probe(pauseMs: number | undefined): void {
    this.#probePauseMs = pauseMs;
    if (pauseMs !== undefined) this.#contactWithin(0);
  }

  /** The push service gave the device another token: it tells its server, as real ones do at any time. */
  async renewPushToken(token: Buffer): Promise<boolean> {
    if (this.#enrolment === undefined) return false;
    this.#pushToken = token;
    const body = tokenUpdateBody(this.plan, this.#enrolment.facts.topic, token, this.plan.pushMagic);
    return (await this.#enrolment.link.checkIn('token-update', body)).kind === 'replied';
  }

  /** Leaves management on its own: CheckOut, tried once, as Apple's devices do. */
  async checkOut(): Promise<void> {
    const enrolment = this.#enrolment;
    if (enrolment === undefined || this.#state !== 'managed') return;
    this.#leave();
    await this.#contact;
    await enrolment.link.checkIn('check-out', checkOutBody(this.plan, enrolment.facts.topic));
    this.#options.journal({ event: 'checked-out' });
  }

  /** Ends everything the device does, and resolves when it has ended. */
  async stop(): Promise<void> {
    this.#started = false;
    clearTimeout(this.#contactTimer);
    clearTimeout(this.#returnTimer);
    this.#stop.abort(new Error('the device was stopped'));
    await Promise.all([this.#contact, this.#enrolling]);
    this.#http.close();
  }

  async #renewIdentity(commandUuid: string, profile: Uint8Array): Promise<Execution | 'crashed'> {
    const enrolment = this.#enrolment;
    if (enrolment === undefined) return 'crashed';
    const { facts, link, rootsPem } = enrolment;
    return await renewIdentity(commandUuid, profile, {
      plan: this.plan,
      random: this.#renewals,
      behaviour: this.#behaviour,
      http: this.#http,
      ...{ facts, link, rootsPem },
      pushToken: this.#pushToken,
      journal: (event) => this.#options.journal(event),
      pause: (attempt) => this.#pause(retryDelayMs(this.#retry(), attempt, this.#timing)),
      renewed: (identity) => {
        this.#enrolment = { ...enrolment, identity };
      },
    });
  }

  #retry(): RetrySchedule {
    return this.#probePauseMs === undefined ? (this.#options.retry ?? ordinaryRetry) : probeRetry;
  }

  #fallSilent(): void {
    this.#vanishWithCommand = false;
    if (this.#vanished) return;
    this.#vanished = true;
    clearTimeout(this.#contactTimer);
    this.#contactAt = Number.POSITIVE_INFINITY;
    this.#options.journal({ event: 'vanished' });
  }

  #leave(): void {
    this.#state = 'left';
    clearTimeout(this.#contactTimer);
    this.#memory.profiles.clear();
  }

  /** Makes the next contact no later than `delayMs` from now. */
  #contactWithin(delayMs: number): void {
    if (!this.#started || this.#vanished || this.#state !== 'managed' || this.#contact !== undefined) return;
    const at = performance.now() + delayMs;
    if (at >= this.#contactAt) return;
    clearTimeout(this.#contactTimer);
    this.#contactAt = at;
    const run = (): void => {
      const link = this.#enrolment?.link;
      if (link === undefined) return;
      this.#contactAt = Number.POSITIVE_INFINITY;
      this.#wokenDuringContact = false;
      this.#contact = this.#session.run(link).then((outcome) => {
        // Without an await: a change of behaviour finds either a contact under way or the next one planned.
        this.#contact = undefined;
        this.#afterContact(outcome);
      });
    };
    this.#contactTimer = setTimeout(run, delayMs);
  }

  #afterContact(outcome: SessionOutcome): void {
    this.#failures = outcome.kind === 'failed' ? this.#failures + 1 : 0;
    switch (outcome.kind) {
      case 'left':
        this.#leave();
        return;
      case 'failed':
        this.#contactWithin(retryDelayMs(this.#retry(), this.#failures - 1, this.#timing));
        return;
      case 'interrupted':
        this.#contactWithin(0);
        return;
      case 'finished':
        if (this.#timing.chance(this.#behaviour.vanishProbability)) {
          this.vanish('now', this.#timing.around(this.#behaviour.vanishForMs));
        } else this.#contactWithin(this.#afterSuccessMs(outcome.notNow));
        return;
      default:
        assertNever(outcome);
    }
  }

  #afterSuccessMs(notNow: boolean): number {
    const { contactIntervalMs, wakeJitterMs, notNowForMs } = this.#behaviour;
    return Math.min(
      this.#timing.around(contactIntervalMs),
      this.#probePauseMs ?? Number.POSITIVE_INFINITY,
      this.#wokenDuringContact ? this.#timing.next() * wakeJitterMs : Number.POSITIVE_INFINITY,
      notNow ? this.#timing.around(notNowForMs) : Number.POSITIVE_INFINITY,
    );
  }

  async #pause(durationMs: number): Promise<boolean> {
    try {
      await delay(durationMs, undefined, { signal: this.#stop.signal });
      return true;
    } catch {
      // Only an abort ends the wait early, and that is the answer.
      return false;
    }
  }
}
