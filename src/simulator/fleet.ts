/**
 * A fleet of simulated devices in this process, with the push service that wakes them. Everything it does is in its
 * journal; devices share nothing but the pool of keys.
 */
import { BrambleError } from '../base/errors.ts';
import { serializeConnect } from '../protocol/apple/connect.ts';
import { signDetached } from '../protocol/cms/signing.ts';
import { type ApnsPlayer, startApnsPlayer } from './apns-player.ts';
import { type Behaviour, ordinaryBehaviour } from './behaviour.ts';
import type { EnrolmentOutcome } from './enrolment.ts';
import { type DeviceKind, type DevicePlan, type DevicePlatform, deviceKindFor, planDevice } from './fleet-plan.ts';
import { createFleetTally, type FleetTally } from './fleet-tally.ts';
import { type Journal, type JournalEntry, openJournal } from './journal.ts';
import { generateKeyPool, type PooledKeyPair } from './key-pool.ts';
import { createLoopbackCertificate } from './loopback-certificate.ts';
import type { RetrySchedule } from './retry-delay.ts';
import { type SeededRandom, seededRandom } from './seeded-random.ts';
import { type DeviceState, SimulatedDevice, type VanishMoment } from './simulated-device.ts';
import { openTunnel, type Tunnel, type TunnelOpening } from './tunnel.ts';

export interface FleetOptions {
  readonly seed: string;
  /** The domain's public address. */
  readonly publicUrl: string;
  /** Trusted before a device is enrolled; without it the activation is not verified, as when a person clicks through. */
  readonly caPem?: string;
  /** The host name that tunnels are opened under. */
  readonly tunnelHost?: string;
  /** NDJSON file to append to. */
  readonly journalPath?: string;
  /** Sees every journal entry as it is made. */
  readonly observe?: (entry: JournalEntry) => void;
  readonly behaviour?: Partial<Behaviour>;
  readonly retry?: RetrySchedule;
  /** Default 15 s. */
  readonly requestTimeoutMs?: number;
  /** RSA key pairs that the devices share; default 8. */
  readonly keyPoolSize?: number;
  /** Port of the push service; 0 (default): any free one. */
  readonly pushPort?: number;
}

interface ActivationOrder {
  readonly account: string;
  readonly password: string;
  /** The device to activate; without it one is made up from the seed, of the platform or kind if given. */
  readonly plan?: DevicePlan;
  readonly platform?: DevicePlatform;
  readonly kind?: DeviceKind;
}

interface ActivationResult {
  readonly device: string;
  readonly outcome: EnrolmentOutcome['kind'];
  readonly httpStatus?: number;
  readonly code?: string;
  readonly reason?: string;
}

interface DeviceView {
  readonly name: string;
  readonly account: string;
  readonly kind: string;
  readonly platform: DevicePlatform;
  readonly udid: string;
  readonly state: DeviceState;
  readonly vanished: boolean;
  readonly pendingAnswers: number;
}

export interface FleetStats extends FleetTally {
  readonly devices: Readonly<Record<DeviceState, number>>;
  readonly vanished: number;
  readonly pendingAnswers: number;
  readonly tunnelsOpen: number;
}

export interface Fleet {
  readonly seed: string;
  /** Its address and root have to be set in the domain (`PUT /api/v1/push`). */
  readonly push: ApnsPlayer;
  activate(order: ActivationOrder): Promise<ActivationResult>;
  /** Enables devices' own contacts, for existing and later devices. */
  start(): void;
  /** Ends all contacts and tunnels, closes the push service and the journal. */
  stop(): Promise<void>;
  devices(): DeviceView[];
  /** @param names of devices; default all, later ones too */
  setBehaviour(change: Partial<Behaviour>, names?: readonly string[]): void;
  /** @returns the names of those that fell silent: the named ones, or as many as requested, chosen by the seed */
  vanish(which: number | readonly string[], moment?: VanishMoment, forMs?: number): string[];
  comeBack(names?: readonly string[]): string[];
  /** One device of each account probes in a closed loop, `pauseMs` (default 0) after each answer. @returns device names */
  probe(accounts: readonly string[], pauseMs?: number): string[];
  unprobe(accounts?: readonly string[]): void;
  /** The times (ms since the epoch) of the probes of an account that succeeded. */
  probeSuccesses(account: string): readonly number[];
  checkOut(names: readonly string[]): Promise<void>;
  renewPushTokens(names: readonly string[]): Promise<void>;
  /** @throws BrambleError ERR_SIMULATOR_NO_DEVICE, ERR_SIMULATOR_NO_TUNNEL_HOST */
  openTunnel(device: string, target: string): Promise<{ readonly tunnel: string } & TunnelOpening>;
  closeTunnels(): void;
  stats(): FleetStats;
  flushJournal(): Promise<void>;
  /** What `bench connect` needs of each managed device. */
  exportDevices(): ExportedDevice[];
}

/** The form that `bench/connect.ts` reads. */
interface ExportedDevice {
  readonly udid: string;
  readonly serverUrl: string;
  /** Base64 DER. */
  readonly certificate: string;
  readonly idleBody: string;
  readonly idleSignature: string;
}

/** Makes keys and certificate, and starts the push service. Aborting `signal` stops the fleet. */
export async function runFleet(options: FleetOptions, signal?: AbortSignal): Promise<Fleet> {
  signal?.throwIfAborted();
  const random = seededRandom(options.seed);
  const [keys, certificate] = await Promise.all([
    generateKeyPool(options.keyPoolSize ?? 8),
    createLoopbackCertificate('Simulated push service'),
  ]);
  const tally = createFleetTally();
  const journal = openJournal(options.journalPath, (entry) => {
    tally.observe(entry);
    options.observe?.(entry);
  });
  journal.write('', '', { event: 'fleet-started', seed: options.seed, publicUrl: options.publicUrl });
  const devices = new Map<string, SimulatedDevice>();
  const byToken = new Map<string, SimulatedDevice>();
  const push = await startApnsPlayer({
    certificate,
    random: random.fork('push'),
    ...(options.pushPort === undefined ? {} : { port: options.pushPort }),
    find(token) {
      const device = byToken.get(token);
      if (device?.topic === undefined || device.state === 'left') return undefined;
      return {
        topic: device.topic,
        magic: device.plan.pushMagic,
        wake: () => device.wake(),
        refused: (httpStatus, reason) =>
          journal.write(device.name, device.account, { event: 'push-refused', httpStatus, reason }),
      };
    },
  });
  const fleet = new RunningFleet(options, { random, keys, journal, tally, push, devices, byToken });
  signal?.addEventListener('abort', () => void fleet.stop(), { once: true });
  return fleet;
}

interface FleetParts {
  readonly random: SeededRandom;
  readonly keys: readonly PooledKeyPair[];
  readonly journal: Journal;
  readonly tally: ReturnType<typeof createFleetTally>;
  readonly push: ApnsPlayer;
  readonly devices: Map<string, SimulatedDevice>;
  /** By push token, lower-case hexadecimal. */
  readonly byToken: Map<string, SimulatedDevice>;
}

class RunningFleet implements Fleet {
  readonly seed: string;
  readonly push: ApnsPlayer;
  readonly #options: FleetOptions;
  readonly #parts: FleetParts;
  readonly #tunnels: Tunnel[] = [];
  #behaviour: Behaviour;
  #started = false;
  #stopped: Promise<void> | undefined;
  #additional = 0;

  constructor(options: FleetOptions, parts: FleetParts) {
    this.seed = options.seed;
    this.push = parts.push;
    this.#options = options;
    this.#parts = parts;
    this.#behaviour = { ...ordinaryBehaviour, ...options.behaviour };
  }

  async activate(order: ActivationOrder): Promise<ActivationResult> {
    const plan = order.plan ?? this.#furtherPlan(order);
    const device = this.#parts.devices.get(plan.name) ?? this.#admit(plan, order.account);
    const outcome = await device.activate(order.password);
    const { kind } = outcome;
    if (kind === 'enrolled') return { device: device.name, outcome: kind };
    if (kind === 'failed') return { device: device.name, outcome: kind, reason: outcome.reason };
    const code = outcome.code === undefined ? {} : { code: outcome.code };
    return { device: device.name, outcome: kind, httpStatus: outcome.httpStatus, ...code };
  }

  start(): void {
    this.#started = true;
    for (const device of this.#parts.devices.values()) device.start();
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      this.closeTunnels();
      await Promise.all([...this.#parts.devices.values()].map((device) => device.stop()));
      await this.push.close();
      await this.#parts.journal.close();
    })();
    return this.#stopped;
  }

  devices(): DeviceView[] {
    return [...this.#parts.devices.values()].map((device) => ({
      name: device.name,
      account: device.account,
      kind: device.plan.kind.name,
      platform: device.plan.kind.platform,
      udid: device.plan.udid,
      state: device.state,
      vanished: device.isVanished,
      pendingAnswers: device.pendingAnswers,
    }));
  }

  setBehaviour(change: Partial<Behaviour>, names?: readonly string[]): void {
    if (names === undefined) this.#behaviour = { ...this.#behaviour, ...change };
    for (const device of this.#chosen(names)) device.setBehaviour(change);
  }

  vanish(which: number | readonly string[], moment: VanishMoment = 'now', forMs?: number): string[] {
    const chosen = typeof which === 'number' ? this.#choose(which) : this.#chosen(which);
    for (const device of chosen) device.vanish(moment, forMs);
    return chosen.map(({ name }) => name);
  }

  comeBack(names?: readonly string[]): string[] {
    const gone = this.#chosen(names).filter((device) => device.isVanished);
    for (const device of gone) device.comeBack();
    return gone.map(({ name }) => name);
  }

  probe(accounts: readonly string[], pauseMs = 0): string[] {
    return accounts.flatMap((account) => {
      const device = this.#managed().find((candidate) => candidate.account === account && !candidate.isVanished);
      device?.probe(pauseMs);
      return device === undefined ? [] : [device.name];
    });
  }

  unprobe(accounts?: readonly string[]): void {
    for (const device of this.#parts.devices.values()) {
      if (accounts === undefined || accounts.includes(device.account)) device.probe(undefined);
    }
  }

  probeSuccesses(account: string): readonly number[] {
    return this.#parts.tally.probeSuccesses(account);
  }

  async checkOut(names: readonly string[]): Promise<void> {
    await Promise.all(this.#chosen(names).map((device) => device.checkOut()));
  }

  async renewPushTokens(names: readonly string[]): Promise<void> {
    const { random, byToken } = this.#parts;
    for (const device of this.#chosen(names)) {
      byToken.delete(device.pushToken);
      const token = random.bytes(32);
      byToken.set(token.toString('hex'), device);
      await device.renewPushToken(token);
    }
  }

  async openTunnel(deviceName: string, target: string): Promise<{ readonly tunnel: string } & TunnelOpening> {
    const { tunnelHost, publicUrl } = this.#options;
    if (tunnelHost === undefined) {
      throw new BrambleError('ERR_SIMULATOR_NO_TUNNEL_HOST', 'The tunnel host is unknown: start with --tunnel-host.');
    }
    const [device] = this.#chosen([deviceName]);
    const trust = device?.trust();
    if (device === undefined || trust === undefined) {
      throw new BrambleError('ERR_SIMULATOR_NO_DEVICE', `Device ${deviceName} is not enrolled: activate it first.`);
    }
    const tunnel = openTunnel({
      name: `tunnel-${this.#tunnels.length + 1}`,
      publicUrl: new URL(publicUrl),
      tunnelHost,
      target,
      trust,
      random: this.#parts.random.fork(`tunnel/${this.#tunnels.length}`),
      periodMs: 500,
      timeoutMs: 10_000,
      journal: (event) => this.#parts.journal.write(device.name, device.account, event),
    });
    this.#tunnels.push(tunnel);
    return { tunnel: tunnel.name, ...(await tunnel.opening) };
  }

  closeTunnels(): void {
    for (const tunnel of this.#tunnels) tunnel.close();
  }

  stats(): FleetStats {
    const states: Record<DeviceState, number> = { planned: 0, enrolling: 0, managed: 0, left: 0 };
    const all = [...this.#parts.devices.values()];
    for (const device of all) states[device.state] += 1;
    return {
      ...this.#parts.tally.counts(),
      devices: states,
      vanished: all.filter((device) => device.isVanished).length,
      pendingAnswers: all.reduce((sum, device) => sum + device.pendingAnswers, 0),
      tunnelsOpen: this.#tunnels.filter((tunnel) => tunnel.isOpen()).length,
    };
  }

  flushJournal(): Promise<void> {
    return this.#parts.journal.flush();
  }

  exportDevices(): ExportedDevice[] {
    return this.#managed().flatMap((device) => {
      const { identity, serverUrl } = device;
      if (identity === undefined || serverUrl === undefined) return [];
      const body = serializeConnect({ status: 'Idle', udid: device.plan.udid });
      const { key, certificateDer } = identity;
      return {
        udid: device.plan.udid,
        serverUrl: serverUrl.href,
        certificate: Buffer.from(certificateDer).toString('base64'),
        idleBody: body.toString('base64'),
        idleSignature: signDetached({ key, certificateDer, body }),
      };
    });
  }

  #admit(plan: DevicePlan, account: string): SimulatedDevice {
    const { random, keys, journal, devices, byToken } = this.#parts;
    const own = random.fork(`device/${plan.name}`);
    const device = new SimulatedDevice({
      plan,
      account,
      publicUrl: new URL(this.#options.publicUrl),
      caPem: this.#options.caPem,
      keyPair: own.fork('key').pick(keys),
      random: own,
      behaviour: this.#behaviour,
      requestTimeoutMs: this.#options.requestTimeoutMs ?? 15_000,
      ...(this.#options.retry === undefined ? {} : { retry: this.#options.retry }),
      journal: (event) => journal.write(plan.name, account, event),
    });
    devices.set(plan.name, device);
    byToken.set(device.pushToken, device);
    if (this.#started) device.start();
    return device;
  }

  #furtherPlan(order: ActivationOrder): DevicePlan {
    this.#additional += 1;
    const kind = order.kind ?? deviceKindFor(this.seed, this.#additional - 1, order.platform);
    return planDevice(this.seed, `further-${String(this.#additional).padStart(4, '0')}`, kind);
  }

  #managed(): SimulatedDevice[] {
    return [...this.#parts.devices.values()].filter((device) => device.state === 'managed');
  }

  #chosen(names: readonly string[] | undefined): SimulatedDevice[] {
    if (names === undefined) return [...this.#parts.devices.values()];
    return names.flatMap((name) => this.#parts.devices.get(name) ?? []);
  }

  #choose(count: number): SimulatedDevice[] {
    const eligible = this.#managed().filter((device) => !device.isVanished);
    const chosen: SimulatedDevice[] = [];
    while (chosen.length < count && eligible.length > 0) {
      chosen.push(...eligible.splice(this.#parts.random.integer(eligible.length), 1));
    }
    return chosen;
  }
}
