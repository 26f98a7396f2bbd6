/** What the forwarder asks where a request goes; one target for each request. */
import type { RouterLink } from './link-registry.ts';
import { type Reply, refusal } from './reply.ts';

export interface Target {
  /** Identifier of the instance that it was sent to last, or would have been; null where nobody could say. */
  readonly owner: string | null;
  /** The link to send it over, or what it is answered without one. `again` after a redirection. */
  next(again: boolean): Promise<RouterLink | Reply>;
  /** The instance said 421 and named this owner, or did not get the request. */
  redirect(owner: string | null): void;
  /** The instance failed, and so could not say 421 if it is the owner no more. */
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
