/**
 * Who is in the fleet: a pure function of the seed. Two runs with one seed have the same accounts, devices, serial
 * numbers and push tokens, whatever happens to them.
 */
import { seededRandom } from './seeded-random.ts';

export type DevicePlatform = 'apple' | 'agent';

/** One product that takes part. `deviceSoftware` only for devices with Bramble's own agent. */
export interface DeviceKind {
  readonly name: string;
  readonly platform: DevicePlatform;
  readonly system: 'iOS' | 'macOS' | 'agent';
  readonly product: string;
  readonly modelName: string;
  readonly osVersion: string;
  readonly buildVersion: string;
  readonly agentVersion?: string;
  readonly deviceSoftware?: string;
}

export const deviceKinds: readonly DeviceKind[] = [
  apple('iphone-15.7', 'iOS', 'iPhone9,3', 'iPhone', '15.7', '19H12'),
  apple('iphone-16.6', 'iOS', 'iPhone12,1', 'iPhone', '16.6', '20G75'),
  apple('iphone-17.5', 'iOS', 'iPhone14,5', 'iPhone', '17.5', '21F79'),
  apple('iphone-18.1', 'iOS', 'iPhone16,2', 'iPhone', '18.1', '22B83'),
  apple('mac-14.5', 'macOS', 'Mac14,2', 'MacBook Air', '14.5', '23F79'),
  apple('mac-13.6', 'macOS', 'MacBookPro17,1', 'MacBook Pro', '13.6', '22G120'),
  agent('agent-3.9', '3.9'),
  agent('agent-4.2', '4.2'),
];

/** The facts of one device, from its serial number to its device options. */
export interface DevicePlan {
  /** Unique in the fleet, such as `device-0001`. */
  readonly name: string;
  readonly kind: DeviceKind;
  readonly udid: string;
  readonly serialNumber: string;
  /** 32 bytes, as APNs gives them out. */
  readonly pushToken: Buffer;
  readonly pushMagic: string;
  /** The device options that a DeviceInformation query finds. */
  readonly options: Readonly<Record<string, string | boolean>>;
}

export interface PlannedDevice {
  readonly account: string;
  readonly plan: DevicePlan;
}

/** One device; depends on nothing but seed, name and kind. */
export function planDevice(seed: string, name: string, kind: DeviceKind): DevicePlan {
  const random = seededRandom(`${seed}/device/${name}`);
  const serialNumber = random.bytes(6).toString('hex').toUpperCase();
  return {
    name,
    kind,
    udid:
      kind.system === 'iOS'
        ? `0000${random.pick(['8030', '8101', '8110', '8130'])}-${random.bytes(8).toString('hex').toUpperCase()}`
        : random.uuid().toUpperCase(),
    serialNumber,
    pushToken: random.bytes(32),
    pushMagic: random.uuid().toUpperCase(),
    options: {
      DeviceName: `${kind.modelName} ${serialNumber.slice(-4)}`,
      ...(kind.system === 'macOS' ? { HostName: `mac-${serialNumber.slice(-6).toLowerCase()}.example.test` } : {}),
      ...(kind.system === 'iOS'
        ? {
            VoiceRoamingEnabled: random.chance(0.5),
            DataRoamingEnabled: random.chance(0.3),
            PersonalHotspotEnabled: random.chance(0.4),
          }
        : {}),
      TimeZone: random.pick(['Europe/Berlin', 'America/Toronto', 'Asia/Tokyo', 'UTC']),
    },
  };
}

/** A kind for the device of this number: every kind occurs, in an order that the seed decides. */
export function deviceKindFor(seed: string, number: number, platform?: DevicePlatform): DeviceKind {
  const eligible = deviceKinds.filter((kind) => platform === undefined || kind.platform === platform);
  const round = Math.floor(number / eligible.length);
  const random = seededRandom(`${seed}/kinds/${round}`);
  const order = eligible.map((kind) => ({ kind, key: random.next() }));
  order.sort((left, right) => left.key - right.key);
  const chosen = order[number % eligible.length];
  if (chosen === undefined) throw new RangeError(`no kind of device for platform ${platform}`);
  return chosen.kind;
}

/**
 * The whole fleet: `devices` devices over `accounts` accounts, each account having at least one when there are enough.
 * @param prefix put before account and device names, so that two fleets can share a domain
 */
export function planFleet(seed: string, devices: number, accounts: number, prefix = ''): PlannedDevice[] {
  return Array.from({ length: devices }, (_, number) => {
    const name = `${prefix}device-${String(number + 1).padStart(4, '0')}`;
    const account = `${prefix}user-${String((number % accounts) + 1).padStart(4, '0')}`;
    return { account, plan: planDevice(seed, name, deviceKindFor(seed, number)) };
  });
}

function apple(
  name: string,
  system: 'iOS' | 'macOS',
  product: string,
  modelName: string,
  osVersion: string,
  buildVersion: string,
): DeviceKind {
  return { name, platform: 'apple', system, product, modelName, osVersion, buildVersion };
}

function agent(name: string, deviceSoftware: string): DeviceKind {
  return {
    name,
    platform: 'agent',
    system: 'agent',
    product: 'Handheld1,1',
    modelName: 'Handheld',
    osVersion: '12.0',
    buildVersion: 'A12',
    agentVersion: '1.0.0',
    deviceSoftware,
  };
}
