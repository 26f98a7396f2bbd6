/** What every check before an upgrade is given, and what it answers. */
import type { CheckResult } from '../../../api/upgrade-plan.ts';
import type { Database } from '../../../database/connection.ts';
import type { Upgrade } from '../../state/upgrade-store.ts';

export interface CheckOptions {
  db: Database;
  databaseUrl: string;
  /** BRAMBLE_HOME. */
  home: string;
  /** This host's name. */
  host: string;
  /** This release, and the folder of its migrations. */
  release: string;
  migrations: string;
  applicationName: string;
}

/** It cannot override itself: that is an operator's decision. */
export type Finding = { result: Exclude<CheckResult['result'], 'overridden'>; message: string };
export type Check = (options: CheckOptions, upgrade: Upgrade) => Promise<Finding>;

export const passed = (message: string): Finding => ({ result: 'passed', message });
export const warning = (message: string): Finding => ({ result: 'warning', message });
export const error = (message: string): Finding => ({ result: 'error', message });
