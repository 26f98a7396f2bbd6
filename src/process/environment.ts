/**
 * What the supervisor passes to a process in its environment. Only a process's `main.ts` reads it; everything else gets
 * exactly what it uses.
 */
import * as z from 'zod';
import { BrambleError } from '../base/errors.ts';

export const processEnvironmentShape = z.object({
  BRAMBLE_HOME: z.string().min(1),
  BRAMBLE_COMPONENT: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens, at most 63'),
  BRAMBLE_HOST: z.string().min(1).optional(),
  BRAMBLE_LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error']).default('info'),
  BRAMBLE_SETTINGS: z.string().default('{}'),
  BRAMBLE_SOCKETS: z.string().optional(),
  DATABASE_URL: z.string().startsWith('postgres').optional(),
});

export interface ProcessEnvironment<Settings> {
  /** BRAMBLE_HOME. */
  home: string;
  /** The component's name: BRAMBLE_COMPONENT. */
  name: string;
  /** Name of the host, if it is not the machine's own. */
  host: string | undefined;
  logLevel: string;
  /** Names of the sockets that the supervisor hands over when asked; undefined if it knows no such question (1.4), or there is none. */
  handedSockets: readonly string[] | undefined;
  databaseUrl: string | undefined;
  /** BRAMBLE_SETTINGS, parsed. */
  settings: Settings;
  /** The same as given, without the defaults. */
  givenSettings: unknown;
}

/**
 * Parses the BRAMBLE_* variables and DATABASE_URL.
 * @throws BrambleError ERR_ENVIRONMENT that names the variable.
 */
export function readEnvironment<Schema extends z.ZodType>(
  environment: Readonly<Record<string, string | undefined>>,
  settingsSchema: Schema,
): ProcessEnvironment<z.output<Schema>> {
  const parsed = processEnvironmentShape.safeParse(environment);
  if (!parsed.success) throw environmentError(parsed.error);
  const givenSettings = parseSettings(parsed.data.BRAMBLE_SETTINGS);
  const settings = settingsSchema.safeParse(givenSettings);
  if (!settings.success) throw environmentError(settings.error, 'BRAMBLE_SETTINGS');
  return {
    home: parsed.data.BRAMBLE_HOME,
    name: parsed.data.BRAMBLE_COMPONENT,
    host: parsed.data.BRAMBLE_HOST,
    logLevel: parsed.data.BRAMBLE_LOG_LEVEL,
    handedSockets: parsed.data.BRAMBLE_SOCKETS?.split(',').filter((name) => name !== ''),
    databaseUrl: parsed.data.DATABASE_URL,
    settings: settings.data,
    givenSettings,
  };
}

/** @throws BrambleError ERR_ENVIRONMENT when the process was given no database. */
export function requireDatabaseUrl(environment: Pick<ProcessEnvironment<unknown>, 'databaseUrl'>): string {
  if (environment.databaseUrl === undefined) {
    throw new BrambleError('ERR_ENVIRONMENT', 'DATABASE_URL is not set: this kind of component needs the database.');
  }
  return environment.databaseUrl;
}

function parseSettings(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BrambleError('ERR_ENVIRONMENT', 'BRAMBLE_SETTINGS is not JSON.', { cause });
  }
}

function environmentError(error: z.ZodError, variable?: string): BrambleError {
  const [issue] = error.issues;
  const place = [variable, ...(issue?.path ?? [])].filter((part) => part !== undefined).join('.');
  return new BrambleError(
    'ERR_ENVIRONMENT',
    `The environment variable ${place} is invalid: ${issue?.message ?? 'unknown'}. The supervisor sets it: check ` +
      'the desired process.',
    { details: { variable: place } },
  );
}
