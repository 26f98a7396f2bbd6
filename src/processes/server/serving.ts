/** What the answers to devices' requests are made with. */
import type { Activation } from '../../activation/activation.ts';
import type { ScepService } from '../../activation/scep-service.ts';
import type { Clock } from '../../base/clock.ts';
import type { InstanceId } from '../../base/ids.ts';
import type { Database } from '../../database/connection.ts';
import type { AnnouncementOptions } from '../../devices/announcements.ts';
import type { ConnectBatcher } from '../../devices/connect-batch.ts';
import type { RequestSamples } from '../../measurements/request-samples.ts';
import type { Platforms } from '../../platforms/port.ts';
import type { Logger } from '../../process/log/logger.ts';
import type { CertificateKeys } from '../../protocol/cms/certificate-keys.ts';
import type { DeviceAnswer } from './device-answer.ts';
import type { DeviceNotices } from './device-notices.ts';
import type { IdentityUse } from './identity-use.ts';
import type { LargeMessages } from './large-messages.ts';

export interface NewcomerOptions {
  log: Logger;
  activation: Activation;
  scep: ScepService;
  /** How long what was asked for a moving account is tried again, if not as usual. */
  movingPatienceMs?: number | undefined;
}

export interface DeviceHandlerOptions extends NewcomerOptions {
  db: Database;
  instanceId: InstanceId;
  platforms: Platforms;
  announcements: AnnouncementOptions;
  connects: ConnectBatcher;
  samples: RequestSamples;
  notices: DeviceNotices;
  certificateKeys: CertificateKeys;
  /** Certificates of the authorities whose identities are accepted. */
  identityIssuers: () => Promise<readonly Uint8Array[]>;
  clock: Clock;
  identityUse: IdentityUse;
  /** Called with each answer and the kind of its address, for metrics. */
  onAnswer: (kind: string, answer: DeviceAnswer, latencyMs: number) => void;
}

export interface Serving extends DeviceHandlerOptions {
  largeMessages: LargeMessages;
}
