/** The configuration of a host's supervisor: `config.json` in BRAMBLE_HOME. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { addressRangeShape } from '../base/address-ranges.ts';
import { BrambleError, messageOf } from '../base/errors.ts';
import { isLoopback } from '../base/loopback.ts';

const port = z.int().min(0).max(65_535);

const consoleSchema = z
  .object({
    listen: z.union([z.ipv4(), z.ipv6()]).default('127.0.0.1'),
    /** 0 takes any free port. */
    port: port.default(3180),
    /** Under which names browsers reach it, beside `localhost` and addresses. */
    names: z
      .array(z.string().regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'a host name in lower case'))
      .max(32)
      .default([]),
    /** PEM files, relative to the home: with them it is HTTPS. */
    certificate: z.string().min(1).optional(),
    key: z.string().min(1).optional(),
  })
  .refine(({ certificate, key }) => (certificate === undefined) === (key === undefined), {
    message: 'certificate and key go together',
  })
  // Passwords and tokens are never sent in the clear.
  .refine(({ listen, certificate }) => isLoopback(listen) || certificate !== undefined, {
    message: 'without certificate and key it listens on loopback alone',
    path: ['listen'],
  });

export const configurationSchema = z.object({
  database: z.union([
    z.object({ embedded: z.literal(true), settings: z.record(z.string(), z.string()).default({}) }),
    z.object({ url: z.string().startsWith('postgres') }),
  ]),
  /** Name of this host: it runs the desired processes assigned to this name. */
  host: z.string().min(1).max(253),
  /** Where devices connect; 0 takes any free port. */
  publicPort: port,
  /** Where instances and connection services connect; 0 takes any free port. */
  srpPort: port,
  listenAddress: z.union([z.ipv4(), z.ipv6()]).default('0.0.0.0'),
  /** Whose connections to the public port begin with a PROXY header: addresses and ranges of balancers. */
  balancers: z.array(addressRangeShape).max(256).default([]),
  /** Where administrators' browsers and programs connect. */
  console: consoleSchema.prefault({}),
});

export type Configuration = z.output<typeof configurationSchema>;
export type ConsoleSettings = Configuration['console'];

/** @throws BrambleError ERR_CONFIGURATION that names the file, and the place in it. */
export async function readConfiguration(home: string): Promise<Configuration> {
  const file = path.join(home, 'config.json');
  let value: unknown;
  try {
    value = JSON.parse(await readFile(file, 'utf8'));
  } catch (cause) {
    const isAbsent = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new BrambleError(
      'ERR_CONFIGURATION',
      isAbsent
        ? `There is no domain in ${home}: set BRAMBLE_HOME to the home of one, or make one here with \`bramble domain create\`, ` +
            '`bramble join` or `bramble backup restore`.'
        : `The configuration ${file} cannot be read (${messageOf(cause)}). Put back what was in it before.`,
      { cause },
    );
  }
  const parsed = configurationSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const place = issue?.path.join('.') ?? '';
    throw new BrambleError(
      'ERR_CONFIGURATION',
      `The configuration ${file} is invalid at "${place}": ${issue?.message}`,
      {
        cause: parsed.error,
      },
    );
  }
  return parsed.data;
}
