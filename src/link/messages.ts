/**
 * The messages between router and diallers, apart from the devices' requests: paths, shapes, limits.
 *
 * Invariant: everything received over the link is parsed by one of these shapes before it is used, and the domain's own
 * statements (owners, revocations) only ever travel in a signed envelope.
 */
import * as z from 'zod';

/** The protocol that both ends negotiate in the TLS handshake (ALPN). */
export const linkProtocol = 'bramble-link';

/** Control requests; nothing below this prefix is ever taken from a device. */
export const controlPrefix = '/.bramble/';

export const linkPaths = {
  hello: '/.bramble/hello',
  accepted: '/.bramble/accepted',
  refused: '/.bramble/refused',
  draining: '/.bramble/draining',
  route: '/.bramble/route',
  control: '/.bramble/control',
  router: '/.bramble/router',
  outcomes: '/.bramble/outcomes',
} as const;

/** Bodies of devices' requests, and of control messages, in bytes. */
export const maxBodyBytes = 1024 * 1024;

/** Questions in one batch. */
export const maxRouteQuestions = 256;

/** Names of accounts in one batch: they are longer, and so are their answers. */
export const maxAccountQuestions = 64;

/** From this link version on, an instance is asked for the owner of an account. */
export const accountQuestionVersion = 2;

/** From this link version on, request outcomes are reported to an instance. */
export const outcomeVersion = 2;

/** Outcomes in one report. */
export const maxOutcomes = 4096;

/** An older report is no longer sent, and not counted. */
export const outcomesLastMs = 10 * 60 * 1000;

/** `S` and eight digits for a server instance, `C` and eight digits for a connection service. */
export const identifierShape = z.string().regex(/^[SC]\d{8}$/);

/** 32 random bytes, base64url. */
const tokenShape = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

/** SHA-256 of a DER certificate, lower-case hex. */
export const fingerprintShape = z.string().regex(/^[0-9a-f]{64}$/);

/** Text for people: no control characters, line breaks or changes of writing direction. */
const name = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u);
const feature = z.string().regex(/^[a-z0-9-]{1,64}$/);
/** The range of PostgreSQL's integer. */
const count = z.number().int().min(0).max(2_147_483_647);

/** The stored form of an account's name, as `accountNameOf` makes it. */
const accountName = z.string().min(1).max(200);

/** Identifies the process and states what it can do. */
const componentShape = z.object({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/),
  host: name,
  bootId: name,
  processId: count,
  release: z.string().regex(/^\d{1,6}\.\d{1,6}\.\d{1,6}$/),
  linkVersions: z.array(z.number().int().min(1).max(1000)).min(1).max(16),
  features: z.array(feature).max(256),
});
export type LinkComponent = z.output<typeof componentShape>;

/** Answer to the router's first question. */
export const helloShape = componentShape.extend({
  identifier: identifierShape,
  kind: z.enum(['server', 'connection']),
});
export type Hello = z.output<typeof helloShape>;

/** The router takes the link into service, at this version. */
export const acceptedShape = z.object({ linkVersion: z.number().int().positive(), router: name });
export type Accepted = z.output<typeof acceptedShape>;

/** The router refuses the link, or ends it; it closes the link next. */
export const refusedShape = z.object({ code: z.templateLiteral(['ERR_', z.string()]), message: z.string().max(2048) });
export type Refused = z.output<typeof refusedShape>;

/** Bytes of the domain with the domain authority's signature (ECDSA P-256, SHA-256, DER), both base64. */
export const envelopeShape = z.object({ payload: z.base64(), signature: z.base64() });
export type SignedEnvelope = z.output<typeof envelopeShape>;

/** An answer about routes: signed by the domain authority, or by the route signer whose certificate (DER) comes with it. */
export const routeEnvelopeShape = envelopeShape.extend({ signer: z.base64().max(8192).optional() });
export type RouteEnvelope = z.output<typeof routeEnvelopeShape>;

/** Asks for the owners of tokens, certificates and accounts. The nonce binds the signed answer to the question. */
export const routeQuestionShape = z.object({
  nonce: z.string().min(16).max(128),
  tokens: z.array(tokenShape).max(maxRouteQuestions),
  certificates: z.array(fingerprintShape).max(maxRouteQuestions),
  accounts: z.array(accountName).max(maxAccountQuestions).optional(),
});
export type RouteQuestion = z.output<typeof routeQuestionShape>;

/** One owner; `identifier` is null when the domain knows none. */
const routeAnswerShape = z.object({
  token: tokenShape.optional(),
  certificate: fingerprintShape.optional(),
  account: accountName.optional(),
  identifier: identifierShape.nullable(),
  /** In the order in which they are to be tried. */
  connectionServices: z.array(identifierShape).max(64).default([]),
});
export type RouteAnswer = z.output<typeof routeAnswerShape>;

export const routeAnswersShape = z.object({
  nonce: z.string(),
  answers: z.array(routeAnswerShape).max(2 * maxRouteQuestions),
  /** ISO 8601. */
  issuedAt: z.string(),
});

/** All revocations that still matter; a list of a higher number replaces the one before. */
export const revocationListShape = z.object({
  number: z.number().int().nonnegative(),
  revoked: z.array(
    z.object({
      /** Hex, as the certificate has it. */
      serial: z.string().regex(/^[0-9a-fA-F]+$/),
      identifier: identifierShape,
      /** ISO 8601: when the certificate expires, and with it the entry. */
      expiresAt: z.string(),
    }),
  ),
  /** Suspensions that an administrator lifted; each counts once. */
  cleared: z.array(z.object({ identifier: identifierShape, at: z.string() })),
});
export type RevocationList = z.output<typeof revocationListShape>;

/** What a component says of the domain authorities: fingerprints. */
const trustReportShape = z.object({
  trusts: z.array(fingerprintShape).max(8),
  /** Of the one that issued the certificate by which it is known, on every link in use; null where that is not one. */
  credentialBy: fingerprintShape.nullable(),
});
export type TrustReport = z.output<typeof trustReportShape>;

/** What a router reports about itself to every instance, so that an instance registers it in the database. */
export const routerRegistrationShape = componentShape.extend({
  /** `http://127.0.0.1:port` with /healthz, /readyz and /metrics, meaningful on the router's own host. */
  loopbackUrl: z
    .string()
    .regex(/^http:\/\/(?:127\.0\.0\.1|\[::1\]):[1-9]\d{0,4}$/)
    .refine((url) => Number(url.slice(url.lastIndexOf(':') + 1)) <= 65_535),
  links: z.array(z.object({ identifier: identifierShape, since: z.iso.datetime(), reconnects: count })).max(4096),
  tunnelsOpen: count,
  /** Absent before 1.4. */
  authorities: trustReportShape.optional(),
});
export type RouterRegistration = z.output<typeof routerRegistrationShape>;

/**
 * Request outcomes of ten seconds, at most one per device. The reports of a run are numbered in sending order and
 * resent until acknowledged; an instance counts each once.
 */
export const outcomeReportShape = z.object({
  router: componentShape.shape.name,
  /** Of this process. */
  run: z.uuid(),
  sequence: z.number().int().positive(),
  /** How long ago the ten seconds began. */
  agoMs: z.number().int().min(0).max(outcomesLastMs),
  outcomes: z
    .array(
      z.object({
        token: tokenShape,
        /** Where the request was sent, or would have been; null when unknown. */
        identifier: identifierShape.nullable(),
        failed: z.boolean(),
        latencyMs: z.number().int().min(0).max(600_000),
      }),
    )
    .max(maxOutcomes),
});
export type OutcomeReport = z.output<typeof outcomeReportShape>;
export type RequestOutcome = OutcomeReport['outcomes'][number];

/** The normal form of serial numbers, whatever printed them: lower case, no leading zeros. */
export function normalSerial(serial: string): string {
  return serial
    .toLowerCase()
    .replaceAll(':', '')
    .replace(/^0+(?=.)/, '');
}
