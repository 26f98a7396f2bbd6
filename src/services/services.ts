/**
 * The services that a service book can contain, and the settings of each. Pure. Invariant: a setting accepted when
 * written is accepted when compiled, in this release and the next.
 */
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';
import { plainIssue } from '../base/plain-issue.ts';

export const serviceTypes = ['[CMIME]', '[CICAL]', '[SYNC]', '[IPPP]'] as const;
export type ServiceType = (typeof serviceTypes)[number];

export function isServiceType(text: string): text is ServiceType {
  return serviceTypes.some((type) => type === text);
}

const host = z.string().regex(/^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/, 'is not a host name');
const port = z.number().int().min(1).max(65_535);
/** `{account}` in it is replaced by the account's name. */
const template = z.string().min(1).max(200);

const server = z.object({
  host,
  port: port.optional(),
  useTls: z.boolean().default(true),
  username: template.default('{account}'),
});

export const serviceSettings = {
  /** Mail: IMAP and SMTP, or Exchange ActiveSync. */
  '[CMIME]': z.discriminatedUnion('protocol', [
    z.object({
      protocol: z.literal('imap'),
      address: template,
      incoming: server,
      outgoing: server,
    }),
    z.object({
      protocol: z.literal('exchange'),
      address: template,
      host,
      useTls: z.boolean().default(true),
      username: template.default('{account}'),
      pastDays: z
        .union([z.literal(0), z.literal(1), z.literal(3), z.literal(7), z.literal(14), z.literal(31)])
        .default(7),
    }),
  ]),
  /** Calendar: CalDAV. */
  '[CICAL]': server,
  /** Synchronization of contacts: CardDAV. */
  '[SYNC]': server,
  /** Connection service: which internal hosts are reached through it. */
  '[IPPP]': z.object({
    matchDomains: z.array(host).min(1).max(200),
    excludedDomains: z.array(host).max(200).default([]),
  }),
} as const satisfies Record<ServiceType, z.ZodType>;

export type ServiceSettings<Type extends ServiceType> = z.output<(typeof serviceSettings)[Type]>;

/** Checked settings, with defaults filled in. @throws BrambleError ERR_SERVICE_SETTINGS */
export function parseServiceSettings<Type extends ServiceType>(type: Type, input: unknown): ServiceSettings<Type> {
  const parsed = serviceSettings[type].safeParse(input);
  if (parsed.success) return parsed.data as ServiceSettings<Type>;
  const why = parsed.error.issues
    .map((issue) => `${issue.path.join('.') || 'they'} ${plainIssue(issue.message)}`)
    .join('; ');
  throw new BrambleError(
    'ERR_SERVICE_SETTINGS',
    `The settings of the service ${type.slice(1, -1)} are invalid: ${why}. \`bramble service set --help\` lists them.`,
    {
      details: { type },
    },
  );
}
