/** The platforms of this release: one line each. */
import { agent } from '../agent/platform.ts';
import { apple } from '../apple/platform.ts';
import { createPlatforms } from '../port.ts';

export const registeredPlatforms = createPlatforms([
  apple, // phones, tablets and computers by their own management protocol
  agent, // devices with Bramble's own agent
]);
