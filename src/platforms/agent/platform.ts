/** Devices with Bramble's own agent. It speaks Apple's protocol and reads Apple's profiles, as far as its device software goes. */
import { compareVersions } from '../../base/dotted-version.ts';
import type { ServiceType } from '../../services/services.ts';
import type { MinVersions, ProfileReaders } from '../apple/device-family.ts';
import { apple } from '../apple/platform.ts';
import { createProfileCompiler } from '../apple/profile-compiler.ts';
import type { Platform } from '../port.ts';
import { agentRules } from './rule-software.ts';

/** Minimum agent version that takes service books and synchronizes. */
const minSoftware = '4.0';
const fromThen: MinVersions = { agent: minSoftware };
const services: Readonly<Record<ServiceType, MinVersions>> = {
  '[CMIME]': fromThen,
  '[CICAL]': fromThen,
  '[SYNC]': fromThen,
  '[IPPP]': fromThen,
};

export const agentReaders: ProfileReaders = {
  kindOf: ({ softwareVersion }) => ({ family: 'agent', version: softwareVersion ?? '0' }),
  rules: Object.fromEntries(Object.entries(agentRules).map(([rule, software]) => [rule, { agent: software }])),
  services,
  takesServiceBooks: ({ softwareVersion }) => compareVersions(softwareVersion ?? '0', minSoftware) >= 0,
};

export const agent: Platform = {
  ...apple,
  name: 'agent',
  minSoftware,
  compiler: createProfileCompiler(agentReaders),
};
