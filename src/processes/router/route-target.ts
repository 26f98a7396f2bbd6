/** Tells the forwarder where a request goes; one target for each request. */
import type { RouterLink } from './link-registry.ts';
import { type Reply, refusal } from './reply.ts';

export interface Target {
  /** Identifier of the instance that it was last sent to, or would have been; null when unknown. */
  readonly owner: string | null;
  /** The link to send it over, or the answer without one. `again` after a redirection. */
  next(again: boolean): Promise<RouterLink | Reply>;
  /** The instance said 421 and named this owner, or did not get the request. */
  redirect(owner: string | null): void;
  /** The instance failed, so it could not answer 421 if it is no longer the owner. */
  doubt(): void;
}

export const notConnected = refusal(
  503,
  'ERR_NOT_CONNECTED',
  'The server instance of this device is not connected; retry later.',
);

export const stalled = refusal(
  503,
  'ERR_LINK_STALLED',
  'The server instance of this device is not responding; retry later.',
);
