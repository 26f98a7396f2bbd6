/**
 * The one error class. Expected outcomes are returned as unions; what is thrown is a `BrambleError` with a code that is
 * part of the API: documented in docs/errors.md, tested, never renamed.
 */
import type { ErrorCode } from './error-codes.ts';

interface BrambleErrorOptions {
  /** The error that led to this one. */
  cause?: unknown;
  /** Facts that are safe to show to an administrator: no secrets, no tokens. */
  details?: Readonly<Record<string, unknown>>;
}

/** A failure with a stable code. The message says what happened, why, and what to do. */
export class BrambleError extends Error {
  readonly code: ErrorCode;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: BrambleErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BrambleError';
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** True for a `BrambleError`, and if `code` is given, only for that code. */
export function isBrambleError(error: unknown, code?: ErrorCode): error is BrambleError {
  return error instanceof BrambleError && (code === undefined || error.code === code);
}

/** The message of an unknown thrown value, in one line. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
