/** The process behind `bramble up`: environment, signals, log, exit code. */
import path from 'node:path';
import { shownText } from '../../base/shown-text.ts';
import { createEventLog } from './event-log.ts';
import { eventText } from './events.ts';
import { runSupervisor } from './supervisor.ts';

interface UpOptions {
  /** Leaves the embedded PostgreSQL running at the end. */
  keepDatabase: boolean;
  /** Takes over even from a supervisor of the same or a later release. */
  takeOver?: boolean;
  /** Ends it as SIGTERM does. */
  signal?: AbortSignal;
}

/**
 * Supervises BRAMBLE_HOME (default `./.bramble`, as root `/var/lib/bramble`) until SIGTERM, SIGINT or SIGHUP, or until another
 * supervisor takes over.
 * @throws BrambleError ERR_ALREADY_RUNNING, ERR_TAKE_OVER_NEWER, ERR_TAKE_OVER_INTERRUPTS, ERR_TAKE_OVER_REFUSED, and
 * whatever else prevents it from starting
 */
export async function supervisorMain(options: UpOptions): Promise<void> {
  const home =
    process.env['BRAMBLE_HOME'] ?? (process.getuid?.() === 0 ? '/var/lib/bramble' : path.resolve('.bramble'));
  const log = createEventLog();
  const stop = new AbortController();
  const onSignal = (signal: NodeJS.Signals) => stop.abort(new Error(`${signal} was received`));
  process.on('SIGTERM', onSignal).on('SIGINT', onSignal).on('SIGHUP', onSignal);
  try {
    await runSupervisor({
      home,
      signal: options.signal ? AbortSignal.any([stop.signal, options.signal]) : stop.signal,
      keepDatabase: options.keepDatabase,
      takeOver: options.takeOver === true,
      onEvent: (event) => {
        if (process.stdout.isTTY) process.stdout.write(`${shownText(eventText(event))}\n`);
        else log(event);
      },
    });
  } finally {
    process.off('SIGTERM', onSignal).off('SIGINT', onSignal).off('SIGHUP', onSignal);
  }
}
