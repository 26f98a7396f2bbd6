/** Clocks that are wrong: routers and devices judge by them what is valid. */
import type { Database } from '../database/connection.ts';
import { clockText, isClockWrong, listHostClocks } from '../registry/host-clock.ts';
import type { Look } from './conditions.ts';

/** A computer that was suspended sets its clock in a moment; it is read once a minute. */
const confirmSeconds = 90;

export function clockLook(db: Database): Look {
  return {
    kind: 'clock-wrong',
    scope: '',
    confirmSeconds,
    look: async () =>
      [...(await listHostClocks(db))].flatMap(([host, aheadMs]) =>
        isClockWrong(aheadMs)
          ? [
              {
                subject: host,
                message:
                  `the clock of the host ${host} ${clockText(aheadMs)}. By more than five minutes, routers ` +
                  'there refuse what is valid. Have it set by NTP.',
              },
            ]
          : [],
      ),
  };
}
