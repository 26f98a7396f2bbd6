/** What this program reports about itself when it registers. The numbers are in `src/release/this-release.ts`. */

import { thisRelease } from '../release/this-release.ts';
import type { Compatibility } from './components.ts';
import type { Feature } from './features.ts';

/** Release of the running program, `major.minor.patch`. */
export const ownRelease: string = thisRelease.release;

/** Versions of the SRP link that it speaks. */
export const ownLinkVersions: readonly number[] = thisRelease.linkVersions;

/** Names of the features that it knows: what its components register. */
export const ownFeatureNames: readonly string[] = thisRelease.features;

/** The same features in words, for messages about what holds each one back. */
export const ownFeatures: readonly Feature[] = [
  {
    name: 'connection-service-sharing',
    since: '1.1.0',
    summary: 'A connection service can serve several instances, and tunnels open through another one when one fails.',
    kinds: ['router', 'server', 'administration', 'connection'],
  },
  {
    name: 'it-policy-rules-2',
    since: '1.1.0',
    summary: 'IT policies set the rules for biometric unlocking, handoff, personalised advertising and the pasteboard.',
    kinds: ['server', 'administration'],
  },
  {
    name: 'scep-registration-authority',
    since: '1.2.0',
    summary: 'Devices encrypt their SCEP requests to the registration authority instead of the device authority.',
    kinds: ['server'],
  },
  {
    name: 'database-roles',
    since: '1.2.0',
    summary: 'Each kind of process has its own database role with only the rights that it needs.',
    kinds: ['server', 'administration', 'connection', 'coordinator'],
  },
  {
    name: 'push-topic-from-certificate',
    since: '1.2.0',
    summary: 'The first real push certificate replaces the made-up push topic of the domain.',
    kinds: ['server', 'administration'],
  },
  {
    name: 'device-tls-identity',
    since: '1.2.0',
    summary:
      'Devices that presented their certificate in TLS on three days must keep doing so; bootstrap tokens are given ' +
      'out only over it.',
    kinds: ['server', 'administration'],
  },
  {
    name: 'device-identity-renewal',
    since: '1.2.0',
    summary: 'Devices renew their identity before it expires; until they use the new one, both are accepted.',
    kinds: ['server', 'administration', 'connection'],
  },
  {
    name: 'further-platforms',
    since: '1.3.0',
    summary:
      'Devices of further platforms can be activated; earlier releases would mistake them for devices of a platform they know.',
    kinds: ['router', 'server', 'administration', 'coordinator'],
  },
  {
    name: 'retention',
    since: '1.4.0',
    summary:
      'The audit can be cut, and events removed, when they are old; earlier releases would take a cut for a forgery.',
    kinds: ['server', 'administration', 'coordinator'],
  },
  {
    name: 'master-key-rotation',
    since: '1.4.0',
    summary: 'The master key can be rotated; earlier releases read the key file only when they start.',
    kinds: ['server', 'administration', 'coordinator'],
  },
  {
    name: 'device-authority-rollover',
    since: '1.4.0',
    summary:
      'The device authority can be replaced; earlier releases issue by the one that they found when they started.',
    kinds: ['server', 'administration'],
  },
  {
    name: 'route-signer-rollover',
    since: '1.4.0',
    summary:
      'The route signer can be replaced; earlier releases sign by the one that they found when they started, and their routers ' +
      'believe a retired one.',
    kinds: ['router', 'server', 'administration'],
  },
  {
    name: 'further-routers',
    since: '1.4.0',
    summary:
      'Routers can be added and removed; earlier releases dial those that their credential file named when they started.',
    kinds: ['server', 'administration', 'connection', 'coordinator'],
  },
  {
    name: 'domain-authority-rollover',
    since: '1.4.0',
    summary: 'The domain authority can be replaced; earlier releases trust one, for as long as they run.',
    kinds: ['router', 'server', 'administration', 'connection', 'coordinator'],
  },
];

/** The schema that it needs. */
export const ownCompatibility: Compatibility = { leastSchemaVersion: thisRelease.leastSchemaVersion };
