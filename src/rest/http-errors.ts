/**
 * The one place where failures get their status: each has a stable code. Anything but a `BrambleError` is ERR_INTERNAL; its
 * text goes to the log only. `problem.ts` gives them their form.
 */
import type { FastifyError } from 'fastify';
import { hasZodFastifySchemaValidationErrors } from 'fastify-type-provider-zod';
import type { ErrorCode } from '../base/error-codes.ts';
import { isBrambleError } from '../base/errors.ts';
import { issueError, type RequestPart } from '../base/field-error.ts';
import { isUnreachable } from '../database/connection-loss.ts';
import { sqlState } from '../database/sql-state.ts';

interface ErrorAnswer {
  readonly status: number;
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: Record<string, unknown>;
}

/** Codes by status. A `BrambleError` whose code is not listed is an internal failure: 500, with its code. */
const codesByStatus: Readonly<Record<number, readonly ErrorCode[]>> = {
  400: [
    'ERR_BAD_REQUEST',
    'ERR_INPUT',
    'ERR_API_VERSION',
    'ERR_NAME',
    'ERR_ONE_TIME_CODE',
    'ERR_PASSWORD_RULES',
    'ERR_ACCOUNT_NAME',
    'ERR_ALLOWED_HOST',
    'ERR_POLICY_RULE_UNKNOWN',
    'ERR_POLICY_RULE_VALUE',
    'ERR_SERVICE_SETTINGS',
    'ERR_RELEASE_NUMBER',
    'ERR_ACTIVATION_VALIDITY',
    'ERR_RELEASE_ARCHIVE_CHANGED',
    'ERR_RELEASE_ARCHIVE_MALFORMED',
    'ERR_RELEASE_ARCHIVE_MISSING',
    'ERR_RELEASE_SIGNATURE',
    'ERR_PUSH_CERTIFICATE',
    'ERR_UPGRADE_CANARY',
    'ERR_UPGRADE_WINDOW',
    'ERR_UPGRADE_LIMIT',
    'ERR_UPGRADE_INSTANCE',
    'ERR_UPGRADE_IN_PLACE',
  ],
  401: ['ERR_TOKEN_MISSING', 'ERR_TOKEN_INVALID', 'ERR_SIGN_IN', 'ERR_PASSKEY', 'ERR_OPENID', 'ERR_SESSION_ENDED'],
  403: ['ERR_RIGHT_MISSING', 'ERR_PROOF_NEEDED', 'ERR_SECOND_FACTOR', 'ERR_ORIGIN', 'ERR_OPENID_REFUSED'],
  404: ['ERR_NOT_FOUND', 'ERR_UPGRADE_NONE'],
  409: [
    'ERR_CONFLICT',
    'ERR_AUDIT_CUT',
    'ERR_KEY_ROTATION',
    'ERR_INSTANCE_IN_USE',
    'ERR_NAME_TAKEN',
    'ERR_RANK_TAKEN',
    'ERR_RELEASE_FENCED',
    'ERR_RELEASE_NOT_PATCH',
    'ERR_RELEASE_STEP',
    'ERR_RELEASE_MISMATCH',
    'ERR_RELEASE_NOT_INSTALLED',
    'ERR_RELEASE_SIGNER',
    'ERR_UPGRADE_LEASE',
    'ERR_COMPONENT_ALIVE',
    'ERR_FEATURE_LOCKED',
    'ERR_STATE',
    'ERR_COMMAND_UNSUPPORTED',
    'ERR_UPGRADE_STATE',
    'ERR_UPGRADE_OPEN',
    'ERR_RELEASE_FENCE_BLOCKED',
    'ERR_MOVE_STATE',
    'ERR_POLICY_EXISTS',
    'ERR_POLICY_IS_DEFAULT',
    'ERR_NO_ROUTER',
    'ERR_ROUTER_IN_USE',
    'ERR_HOST_IN_USE',
    'ERR_DATABASE_NOT_SHARED',
    'ERR_DATABASE_ROLE',
    'ERR_PUSH_TOPIC',
  ],
  408: ['ERR_BODY_TIMEOUT'],
  412: ['ERR_STALE'],
  413: ['ERR_BODY_TOO_LARGE', 'ERR_LINE_TOO_LONG'],
  415: ['ERR_MEDIA_TYPE'],
  422: ['ERR_IDEMPOTENCY_KEY'],
  429: ['ERR_BUSY', 'ERR_SIGN_IN_LIMITED', 'ERR_RATE_LIMIT'],
  431: ['ERR_HEADERS_TOO_LARGE'],
  502: ['ERR_OPENID_PROVIDER'],
  503: ['ERR_DATABASE_UNAVAILABLE'],
};

const statusByCode: ReadonlyMap<string, number> = new Map(
  Object.entries(codesByStatus).flatMap(([status, codes]) => codes.map((code) => [code, Number(status)] as const)),
);

/** Fastify's own refusals, by code. */
const fastifyCodes: Readonly<Record<string, { status: number; code: ErrorCode; message: string }>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    status: 413,
    code: 'ERR_BODY_TOO_LARGE',
    message: 'The body is larger than 1 MiB. Send less at a time; accounts are imported as a stream.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    status: 415,
    code: 'ERR_MEDIA_TYPE',
    message: 'The content type is not supported here: send application/json (an import: application/x-ndjson).',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    status: 400,
    code: 'ERR_INPUT',
    message: 'The body does not match its Content-Length.',
  },
  FST_ERR_CTP_EMPTY_JSON_BODY: {
    status: 400,
    code: 'ERR_INPUT',
    message: 'The body is empty, but the content type is JSON.',
  },
  FST_ERR_BAD_URL: { status: 400, code: 'ERR_INPUT', message: 'The path cannot be decoded.' },
  FST_ERR_MAX_PARAM_LENGTH: { status: 400, code: 'ERR_INPUT', message: 'A part of the path is too long.' },
  FST_ERR_CTP_INVALID_JSON_BODY: { status: 400, code: 'ERR_INPUT', message: 'The body is not JSON.' },
};

/** The answer for whatever was thrown. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (isBrambleError(error)) {
    return answer(statusByCode.get(error.code) ?? 500, error.code, error.message, error.details);
  }
  if (hasZodFastifySchemaValidationErrors(error)) return validationAnswer(error as FastifyError);
  const code = codeOf(error);
  const known = fastifyCodes[code];
  if (known) return answer(known.status, known.code, known.message);
  if (isUnreachable(error)) {
    return answer(
      503,
      'ERR_DATABASE_UNAVAILABLE',
      'The configuration database is not answering at the moment. Nothing was changed unless a message says so; try ' +
        'again.',
    );
  }
  if (error instanceof SyntaxError && (error as FastifyError).statusCode === 400) {
    return answer(400, 'ERR_INPUT', 'The body is not JSON.');
  }
  if (sqlState(error)?.startsWith('22') === true) {
    return answer(400, 'ERR_INPUT', 'A text contains a character that cannot be stored, such as NUL.');
  }
  return answer(
    500,
    'ERR_INTERNAL',
    'Internal error: the administration service could not handle this request. Its log has the cause.',
  );
}

function validationAnswer(error: FastifyError): ErrorAnswer {
  const [first] = error.validation ?? [];
  const path = (first?.instancePath ?? '').split('/').filter(Boolean);
  const { code, message, details } = issueError((error.validationContext ?? 'body') as RequestPart, {
    path,
    message: first?.message ?? error.message,
  });
  return answer(400, code, message, details);
}

function codeOf(error: unknown): string {
  const code = error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
  return code ?? '';
}

function answer(
  status: number,
  code: ErrorCode,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): ErrorAnswer {
  return { status, code, message, details: { ...details } };
}
