/**
 * Reads that outlive the loss of a pooled connection. The first statement on a connection that the database has cut
 * fails, even if the driver never sent it: it may be answered with the error that ended the previous session.
 *
 * Invariant: only statements that change nothing, outside a transaction, are sent again. How a transaction begins anew:
 * guarded-transactions.ts.
 */
import type postgres from 'postgres';
import { onAnotherConnection } from './connection-loss.ts';

type Database = postgres.Sql<Record<string, never>>;
type Settle = (...settled: unknown[]) => unknown;

/** The same database, whose reads are sent again when their connection is lost. */
export function readAgain(db: Database): Database {
  return new Proxy(db, {
    apply: (target, self, parameters: unknown[]) => {
      const send = () => Reflect.apply(target, self, parameters) as Promise<unknown>;
      const statement = send();
      return isRead(parameters) && statement instanceof Promise ? sentAgain(statement, send) : statement;
    },
  });
}

/** A statement is sent when it is first waited for, so this is done there; as part of another one it stays as it is. */
function sentAgain(statement: Promise<unknown>, send: () => Promise<unknown>): Promise<unknown> {
  const once = statement.then.bind(statement);
  let outcome: Promise<unknown> | undefined;
  const waitFor = (done?: Settle, failed?: Settle): Promise<unknown> => {
    outcome ??= onAnotherConnection(() => once(), send);
    return outcome.then(done, failed);
  };
  return Object.defineProperty(statement, 'then', { value: waitFor });
}

const known = new WeakMap<object, boolean>();

/**
 * Judged by the text: a statement that begins with `select` can contain no fragment that writes. One that begins with `with`
 * can, so its fragments are judged as well.
 */
function isRead([strings, ...values]: unknown[]): boolean {
  if (!Array.isArray(strings) || !('raw' in strings)) return false;
  let read = known.get(strings);
  if (read === undefined) {
    const text = strings.join(' ').trim().toLowerCase();
    read = (/^select\b/.test(text) || (/^with\b/.test(text) && !writes.test(text))) && !acts.test(text);
    known.set(strings, read);
  }
  return read && (!/^\s*with\b/i.test(String(strings[0])) || values.every(isHarmless));
}

/**
 * A parameter, or a fragment, or an array of fragments, that writes nothing. The driver keeps a fragment's text and its
 * own parameters in it.
 */
function isHarmless(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isHarmless);
  if (!(value instanceof Promise)) return true;
  const { strings, args } = value as { strings?: unknown; args?: unknown };
  if (!Array.isArray(strings) || !Array.isArray(args)) return false;
  const text = strings.join(' ').toLowerCase();
  return !writes.test(text) && !acts.test(text) && args.every(isHarmless);
}

const writes = /\b(insert|update|delete|merge)\b/;

/** Functions with side effects, and locks. */
const acts =
  /\b(for (no key )?update|for (key )?share|set_config|pg_notify|(next|set)val|pg_(try_)?advisory\w*|pg_(terminate|cancel|reload|switch)\w*)\b/;
