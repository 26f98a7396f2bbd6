/** Apple's phones, tablets and computers, under Apple's own management protocol. */
import type { Platform } from '../port.ts';
import { appleKind, type ProfileReaders } from './device-family.ts';
import { appleEnrolment } from './enrolment-profiles.ts';
import { appleOperatorOrder } from './operator-orders.ts';
import { createProfileCompiler } from './profile-compiler.ts';
import { appleProtocol } from './protocol.ts';
import { pushService } from './push-wakes.ts';
import { rulePlaces } from './rule-payloads.ts';
import { serviceSystems } from './service-books.ts';

export const appleReaders: ProfileReaders = {
  kindOf: appleKind,
  rules: Object.fromEntries(Object.entries(rulePlaces).map(([rule, { least }]) => [rule, least])),
  services: serviceSystems,
  takesServiceBooks: () => true,
};

export const apple: Platform = {
  name: 'apple',
  feature: null,
  minSoftware: null,
  protocol: appleProtocol,
  enrolment: appleEnrolment,
  compiler: createProfileCompiler(appleReaders),
  operatorOrder: appleOperatorOrder,
  wakeService: pushService,
};
