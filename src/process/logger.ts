/** One JSON line for each thing that happens, on standard output, where the supervisor puts it into the component's log. */
import { type DestinationStream, type Logger, pino } from 'pino';

export type { Logger } from 'pino';

export interface LoggerFacts {
  kind: string;
  name: string;
  release: string;
  level?: string;
}

/** A logger whose lines carry component, kind, release and process id. */
export function createLogger(facts: LoggerFacts, destination?: DestinationStream): Logger {
  const options = {
    level: facts.level ?? 'info',
    base: { pid: process.pid, component: facts.name, kind: facts.kind, release: facts.release },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** Writes nothing: for tests and for the command line. */
export const silentLogger: Logger = pino({ level: 'silent' });
