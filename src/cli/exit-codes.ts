/** The exit statuses of `bramble`, for commands and for the processes that it runs. Scripts rely on them. */
import { isBrambleError } from '../base/errors.ts';

export const exitCode = {
  ok: 0,
  /** A failure not covered below. */
  failed: 1,
  /** Invalid arguments; nothing was tried. */
  usage: 2,
  /** `bramble up`: a supervisor already runs on this home. */
  alreadyRunning: 3,
  notFound: 4,
  /** The state of the domain forbids it: a conflict, a fence, a check that failed. */
  refused: 5,
  /** No token, an invalid one, or one without the right. */
  unauthorized: 6,
  /** No administration service, database or router could be reached. */
  unreachable: 7,
  /** A component may not run here: release or schema outside the declared range. A restart does not help. */
  incompatible: 8,
  /** A component's name or registration belongs to another process now. */
  replaced: 9,
  /** The environment or configuration of a process is invalid. */
  configuration: 10,
  /** `bramble release compatible`: the domain already has this release. */
  alreadyThere: 11,
  /** `bramble release compatible`: by a minor upgrade; a patch is 0. */
  minorStep: 12,
} as const;

export type ExitCode = (typeof exitCode)[keyof typeof exitCode];

const byCode: Readonly<Record<string, ExitCode>> = {
  ERR_INPUT: exitCode.usage,
  ERR_USAGE: exitCode.usage,
  ERR_ALREADY_RUNNING: exitCode.alreadyRunning,
  ERR_TAKE_OVER_NEWER: exitCode.alreadyRunning,
  ERR_TAKE_OVER_INTERRUPTS: exitCode.refused,
  ERR_TAKE_OVER_REFUSED: exitCode.refused,
  ERR_NOT_FOUND: exitCode.notFound,
  ERR_TOKEN_MISSING: exitCode.unauthorized,
  ERR_TOKEN_INVALID: exitCode.unauthorized,
  ERR_SIGN_IN: exitCode.unauthorized,
  ERR_PASSKEY: exitCode.unauthorized,
  ERR_OPENID: exitCode.unauthorized,
  ERR_OPENID_REFUSED: exitCode.unauthorized,
  ERR_OPENID_PROVIDER: exitCode.unreachable,
  ERR_SESSION_ENDED: exitCode.unauthorized,
  ERR_RIGHT_MISSING: exitCode.unauthorized,
  ERR_ADMIN_ACCESS: exitCode.unauthorized,
  ERR_ADMIN_ADDRESS: exitCode.usage,
  ERR_ADMIN_PROFILE: exitCode.configuration,
  ERR_PUBLIC_HOST: exitCode.usage,
  ERR_ADMIN_UNREACHABLE: exitCode.unreachable,
  ERR_ADMIN_ANSWER: exitCode.unreachable,
  ERR_DATABASE_UNAVAILABLE: exitCode.unreachable,
  ERR_DATABASE_TLS: exitCode.unreachable,
  ERR_DATABASE_ADDRESS: exitCode.configuration,
  ERR_RELEASE_MISMATCH: exitCode.incompatible,
  ERR_RELEASE_TOO_OLD: exitCode.incompatible,
  ERR_SCHEMA_TOO_OLD: exitCode.incompatible,
  ERR_SCHEMA_TOO_NEW: exitCode.incompatible,
  ERR_RELEASE_FENCED: exitCode.incompatible,
  ERR_DATABASE_MAJOR: exitCode.incompatible,
  ERR_COMPONENT_GONE: exitCode.replaced,
  ERR_COMPONENT_NAME_TAKEN: exitCode.replaced,
  ERR_ENVIRONMENT: exitCode.configuration,
  ERR_CONFIGURATION: exitCode.configuration,
  ERR_NODE_TOO_OLD: exitCode.configuration,
  ERR_NOT_RUNNING: exitCode.notFound,
  ERR_RELEASE_ARCHIVE_MISSING: exitCode.usage,
  ERR_RELEASE_ARCHIVE_CHANGED: exitCode.refused,
  ERR_RELEASE_ARCHIVE_MALFORMED: exitCode.refused,
  ERR_RELEASE_SIGNATURE: exitCode.refused,
  ERR_RELEASE_SIGNER: exitCode.refused,
  ERR_MASTER_KEY: exitCode.configuration,
  ERR_BACKUP_PASSPHRASE: exitCode.refused,
  ERR_BACKUP_FILE: exitCode.refused,
  ERR_BACKUP_TARGET: exitCode.refused,
  ERR_BACKUP_RELEASE: exitCode.refused,
  ERR_HOST_INVITATION: exitCode.refused,
  ERR_HOST_REMOVED: exitCode.refused,
};

/** For a failure; `status` is that of its HTTP answer, if there was one. */
export function exitCodeOf(error: unknown, status?: number): ExitCode {
  if (isBrambleError(error)) {
    const known = byCode[error.code];
    if (known !== undefined) return known;
  }
  if (status === 400) return exitCode.usage;
  if (status === 401 || status === 403) return exitCode.unauthorized;
  if (status === 404) return exitCode.notFound;
  if (status === 409 || status === 412 || status === 422) return exitCode.refused;
  return exitCode.failed;
}
