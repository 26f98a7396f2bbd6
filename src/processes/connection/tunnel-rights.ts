/** What the database says of the devices at the tunnels: who may open one, and to where. */
import type { AllowedHosts } from '../../instances/allowed-hosts.ts';
import type { TunnelRule } from './tunnel-rule.ts';

export type TunnelAuthorization =
  | 'allowed'
  /** Served by its certificate, although another device claimed the same identity: see `onSuspended`. */
  | 'suspended'
  | 'unknown-device'
  | 'not-served';

export interface TunnelRights {
  /** For every certificate in the query. */
  authorizations: ReadonlyMap<string, TunnelAuthorization>;
  /** For those not served here: the hosts that the connection services of their account's instance allow. */
  elsewhere: ReadonlyMap<string, AllowedHosts>;
  rule: TunnelRule;
}
