/**
 * The queries of a synchronization session: inventory, and the device's own options. Invariant: the options asked for
 * are those that are kept for the device over a wipe or a new activation.
 * @see Apple device-management, mdm/commands/information.device
 */
export const synchronizationQueries: readonly string[] = [
  'UDID',
  'DeviceName',
  'HostName',
  'OSVersion',
  'BuildVersion',
  'ModelName',
  'Model',
  'ProductName',
  'SerialNumber',
  'DeviceCapacity',
  'AvailableDeviceCapacity',
  'BatteryLevel',
  'IsRoaming',
  'VoiceRoamingEnabled',
  'DataRoamingEnabled',
  'PersonalHotspotEnabled',
  'TimeZone',
  'AccessibilitySettings',
];

/** Those of the answers that are device options. */
export const deviceOptionQueries: readonly string[] = [
  'DeviceName',
  'HostName',
  'VoiceRoamingEnabled',
  'DataRoamingEnabled',
  'PersonalHotspotEnabled',
  'TimeZone',
  'AccessibilitySettings',
];
