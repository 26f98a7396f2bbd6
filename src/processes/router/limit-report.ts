/**
 * Reports connections and requests that hit a limit of the public port: counted by reason, with at most one log line a
 * minute, so that an attack does not fill the disk.
 */
import type { Logger } from '../../process/log/logger.ts';
import type { LimitReason } from './public-connections.ts';

export interface LimitReport {
  /** @param address the client's group, from `addressGroup`. */
  count(reason: LimitReason, address: string): void;
  /** Writes what has not been written yet. */
  close(): void;
}

export function createLimitReport(log: Logger, onLimit: (reason: LimitReason) => void, everyMs = 60_000): LimitReport {
  const counts = new Map<LimitReason, { count: number; lastAddress: string }>();
  let timer: NodeJS.Timeout | undefined;
  const write = () => {
    clearTimeout(timer);
    timer = undefined;
    if (counts.size === 0) return;
    log.warn({ limits: Object.fromEntries(counts) }, 'limits of the public port were reached');
    counts.clear();
  };
  return {
    count: (reason, address) => {
      onLimit(reason);
      counts.set(reason, { count: (counts.get(reason)?.count ?? 0) + 1, lastAddress: address });
      timer ??= setTimeout(write, everyMs).unref();
    },
    close: write,
  };
}
