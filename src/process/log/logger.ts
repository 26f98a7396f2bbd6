/**
 * One JSON line for each event, on standard output, which the supervisor writes to the component's log.
 *
 * Invariant: no line is long, and lines of one kind, or about one subject, never crowd others out of the log.
 */
import { type DestinationStream, type LogFn, type Logger, type LoggerOptions, pino } from 'pino';
import { LogPace } from './log-pace.ts';
import { loggedValue } from './log-values.ts';

export type { Logger } from 'pino';

interface LoggerFacts {
  kind: string;
  name: string;
  release: string;
  level?: string;
}

const leftOutAfterMs = 60_000;

/** A logger whose lines carry component, kind, release and process id. */
export function createLogger(facts: LoggerFacts, destination?: DestinationStream): Logger {
  const pace = new LogPace();
  let reportIsDue = false;
  const reportLeftOut = (): void => {
    reportIsDue = false;
    for (const left of pace.takeLeftOut(Date.now())) logger.warn(left, 'repeated log lines were suppressed');
  };
  const options: LoggerOptions = {
    level: facts.level ?? 'info',
    base: { pid: process.pid, component: facts.name, kind: facts.kind, release: facts.release },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    // Errors arrive here already reduced to what is logged of them.
    serializers: { err: (shown: unknown) => shown },
    hooks: {
      logMethod(args, method) {
        if (pace.admits(kindOf(args), subjectOf(args), Date.now())) {
          method.apply(this, args.map((value) => loggedValue(value)) as Parameters<LogFn>);
          return;
        }
        if (!reportIsDue) setTimeout(reportLeftOut, leftOutAfterMs).unref();
        reportIsDue = true;
      },
    },
  };
  const logger = destination === undefined ? pino(options) : pino(options, destination);
  return logger;
}

/** Made of the program's own message and code only: nothing that a stranger can vary makes a new kind. */
function kindOf(args: readonly unknown[]): string {
  const message = args.find((value) => typeof value === 'string') ?? '';
  const [fields] = args;
  const code = typeof fields === 'object' && fields !== null && 'code' in fields ? fields.code : undefined;
  return typeof code === 'string' ? `${message} (${code.slice(0, 60)})` : message.slice(0, 200);
}

/** Members that say whom a line is about: refusals of one stranger must not hide those of others. */
const subjectMembers = ['accountName', 'deviceId', 'identifier', 'certificate', 'address'];

function subjectOf([fields]: readonly unknown[]): string {
  if (typeof fields !== 'object' || fields === null) return '';
  const members = Object.entries(fields).filter(
    ([name, value]) => subjectMembers.includes(name) && typeof value === 'string',
  );
  return members.map(([, value]) => String(value).slice(0, 64)).join(' ');
}

/** Writes nothing: for tests and for the command line. */
export const silentLogger: Logger = pino({ level: 'silent' });
