/** What is said of a statement of a hot path. */
import type { Database, Transaction } from '../../src/database/connection.ts';
import type { ConnectRequest } from '../../src/devices/connect-request.ts';
import type { ReservedMove } from '../../src/moves/move-store.ts';
import type { Upgrade } from '../../src/upgrade/state/upgrade-store.ts';
import type { LargeDomain } from './large-domain.ts';

export type Q = Database & Transaction;

/** Rows that exist in the large domain, for a statement to be about. */
export interface Subjects extends LargeDomain {
  upgrade: Upgrade;
  /** Devices of accounts that have moved and of such that have not, as they ask. */
  requests: readonly ConnectRequest[];
  accountIds: readonly string[];
  deviceIds: readonly string[];
  /** One of them waits for a slot. */
  deliveryIds: readonly string[];
  queued: ReservedMove;
}

export interface HotStatement {
  name: string;
  /** The exported functions that execute it. */
  of: readonly unknown[];
  /**
   * Rows that the steps of each go through, whatever the size of the domain; or so many for each of its accounts, where all have to be
   * looked at: that is done seldom, or for a share of the time only.
   */
  maxRows: number | { perAccount: number };
  /** What is so before it is executed, in a transaction that is rolled back. */
  before?(q: Q, subjects: Subjects): Promise<unknown>;
  run(q: Q, subjects: Subjects): Promise<unknown>;
}
