/**
 * What a device does with a command: a function of the command and of what the device holds. The caller keeps the
 * answers, so that a command executes once however often it is sent.
 */
import { messageOf } from '../base/errors.ts';
import { type Command, parseCommand } from '../protocol/apple/command.ts';
import type { ChainedError } from '../protocol/apple/connect.ts';
import { parsePlist } from '../protocol/plist/parser.ts';
import { isPlistDictionary, type PlistDictionary, type PlistValue } from '../protocol/plist/value.ts';
import type { DevicePlan } from './fleet-plan.ts';
import type { AnswerStatus, JournalEvent, ProfileFacts } from './journal.ts';
import { profileFacts } from './profile-facts.ts';

/** What a device holds; changed by executing commands. */
export interface DeviceMemory {
  /** By PayloadIdentifier. */
  readonly profiles: Map<string, ProfileFacts>;
  /** Device options by their DeviceInformation name. */
  readonly options: Record<string, PlistValue>;
  locked: boolean;
  /** PayloadIdentifier of the profile that it enrolled by: removing that one ends management. */
  enrolmentProfile: string | undefined;
}

export interface Execution {
  readonly status: AnswerStatus;
  /** What the answer carries beside Status, UDID and CommandUUID. */
  readonly content: PlistDictionary;
  readonly effects: readonly JournalEvent[];
  readonly error?: ChainedError;
  /** The device leaves management after the answer. */
  readonly leaves?: true;
}

/** The command in a reply to an Idle or an answer, possibly malformed. */
export function receivedCommand(
  body: Uint8Array,
): Command | { readonly malformed: string; readonly commandUuid: string | undefined } {
  try {
    return parseCommand(body);
  } catch (error) {
    return { malformed: messageOf(error), commandUuid: commandUuidIn(body) };
  }
}

function commandUuidIn(body: Uint8Array): string | undefined {
  try {
    const value = parsePlist(body);
    const commandUuid = isPlistDictionary(value) ? value['CommandUUID'] : undefined;
    return typeof commandUuid === 'string' ? commandUuid : undefined;
  } catch {
    // That it cannot be read at all has been said already.
    return undefined;
  }
}

/** Commands that a device carries out even while it is locked: never answered NotNow. */
export function isUrgent(requestType: string): boolean {
  return requestType === 'DeviceLock' || requestType === 'EraseDevice' || requestType === 'SecurityInfo';
}

/** Carries a command out. Unknown ones end as Error, ones without their parameters as CommandFormatError. */
export function executeCommand(command: Command, plan: DevicePlan, memory: DeviceMemory): Execution {
  const { commandUuid, fields: parameters } = command;
  switch (command.requestType) {
    case 'InstallProfile':
      return installProfile(commandUuid, parameters['Payload'], plan, memory);
    case 'RemoveProfile':
      return removeProfile(commandUuid, parameters['Identifier'], memory);
    case 'ProfileList':
      return acknowledged({ ProfileList: [...memory.profiles.values()].map(profileListItem) });
    case 'DeviceInformation':
      return deviceInformation(parameters['Queries'], plan, memory);
    case 'Settings':
      return changeSettings(commandUuid, parameters['Settings'], memory);
    case 'DeviceLock':
      memory.locked = true;
      return acknowledged({ MessageResult: 'Success' }, [{ event: 'locked', commandUuid }]);
    case 'EraseDevice':
      memory.profiles.clear();
      return { ...acknowledged({}, [{ event: 'erased', commandUuid }]), leaves: true };
    case 'SecurityInfo':
      return acknowledged({
        SecurityInfo: { HardwareEncryptionCaps: 3, PasscodePresent: true, PasscodeCompliant: true, FDE_Enabled: true },
      });
    case 'InstalledApplicationList':
      return acknowledged({
        InstalledApplicationList: [{ Identifier: 'com.example.notes', Name: 'Notes', Version: '2.1' }],
      });
    case 'CertificateList':
      return acknowledged({ CertificateList: [] });
    case 'AvailableOSUpdates':
      return acknowledged({ AvailableOSUpdates: [] });
    default:
      return failed(12021, `Unknown request type ${command.requestType}`);
  }
}

/** Status Error with one error in its chain. */
export function failed(errorCode: number, description: string): Execution {
  return {
    status: 'Error',
    content: {},
    effects: [],
    error: { errorCode, errorDomain: 'MCMDMErrorDomain', description },
  };
}

function acknowledged(content: PlistDictionary, effects: readonly JournalEvent[] = []): Execution {
  return { status: 'Acknowledged', content, effects };
}

const formatError: Execution = { status: 'CommandFormatError', content: {}, effects: [] };

/** The lowest OS version that a payload type needs; everything else installs everywhere. */
const minVersions: Readonly<Record<string, { readonly iOS: number; readonly macOS: number }>> = {
  'com.apple.relay.managed': { iOS: 17, macOS: 14 },
};

function installProfile(
  commandUuid: string,
  payload: PlistValue | undefined,
  plan: DevicePlan,
  memory: DeviceMemory,
): Execution {
  if (!(payload instanceof Uint8Array)) return formatError;
  let profile: ProfileFacts;
  try {
    profile = profileFacts(payload);
  } catch (error) {
    return failed(1000, `The profile is invalid: ${messageOf(error)}`);
  }
  const { system, osVersion } = plan.kind;
  for (const { type } of profile.payloads) {
    const least = system === 'agent' ? undefined : minVersions[type]?.[system];
    if (least !== undefined && Number.parseInt(osVersion, 10) < least) {
      return failed(4001, `Payload ${type} needs ${system} ${least}; this device has ${osVersion}`);
    }
  }
  const replaced = memory.profiles.get(profile.identifier);
  memory.profiles.set(profile.identifier, profile);
  return acknowledged({}, [
    {
      event: 'profile-installed',
      commandUuid,
      profile,
      ...(replaced === undefined ? {} : { replacedUuid: replaced.uuid }),
    },
  ]);
}

function removeProfile(commandUuid: string, identifier: PlistValue | undefined, memory: DeviceMemory): Execution {
  if (typeof identifier !== 'string') return formatError;
  const removed: JournalEvent = { event: 'profile-removed', commandUuid, profileIdentifier: identifier };
  if (identifier === memory.enrolmentProfile) return { ...acknowledged({}, [removed]), leaves: true };
  if (!memory.profiles.delete(identifier)) return failed(12075, `Profile ${identifier} is not installed`);
  return acknowledged({}, [removed]);
}

function profileListItem(profile: ProfileFacts): PlistDictionary {
  return {
    PayloadIdentifier: profile.identifier,
    PayloadUUID: profile.uuid,
    PayloadVersion: 1,
    IsManaged: true,
    PayloadContent: profile.payloads.map(({ type }) => ({ PayloadType: type })),
  };
}

function deviceInformation(queries: PlistValue | undefined, plan: DevicePlan, memory: DeviceMemory): Execution {
  if (!Array.isArray(queries)) return formatError;
  const { kind } = plan;
  const facts: PlistDictionary = {
    UDID: plan.udid,
    SerialNumber: plan.serialNumber,
    OSVersion: kind.osVersion,
    BuildVersion: kind.buildVersion,
    ModelName: kind.modelName,
    Model: kind.product,
    ProductName: kind.product,
    DeviceCapacity: 128,
    AvailableDeviceCapacity: 64.5,
    BatteryLevel: 0.8,
    IsSupervised: false,
    IsRoaming: false,
    ...(kind.deviceSoftware === undefined ? {} : { DeviceSoftware: kind.deviceSoftware }),
    ...(kind.agentVersion === undefined ? {} : { AgentVersion: kind.agentVersion }),
    ...memory.options,
  };
  const found: Record<string, PlistValue> = {};
  for (const query of queries) {
    const value = typeof query === 'string' && Object.hasOwn(facts, query) ? facts[query] : undefined;
    if (typeof query === 'string' && value !== undefined) found[query] = value;
  }
  return acknowledged({ QueryResponses: found });
}

/** Items of `Settings` whose switch has another name in DeviceInformation. */
const switchNames: Readonly<Record<string, string>> = {
  VoiceRoaming: 'VoiceRoamingEnabled',
  DataRoaming: 'DataRoamingEnabled',
  PersonalHotspot: 'PersonalHotspotEnabled',
  Bluetooth: 'BluetoothEnabled',
};

function changeSettings(commandUuid: string, settings: PlistValue | undefined, memory: DeviceMemory): Execution {
  if (!Array.isArray(settings)) return formatError;
  const changed: Record<string, PlistValue> = {};
  const results: PlistDictionary[] = [];
  for (const setting of settings as readonly PlistValue[]) {
    const item = isPlistDictionary(setting) ? setting['Item'] : undefined;
    if (!isPlistDictionary(setting) || typeof item !== 'string') return formatError;
    const value = setting['Enabled'] ?? setting[item];
    if (value !== undefined) changed[switchNames[item] ?? item] = value;
    results.push({ Item: item, Status: value === undefined ? 'CommandFormatError' : 'Acknowledged' });
  }
  Object.assign(memory.options, changed);
  return acknowledged({ Settings: results }, [{ event: 'options-changed', commandUuid, options: changed }]);
}
