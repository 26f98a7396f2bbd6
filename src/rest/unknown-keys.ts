/**
 * Keys that a shape does not know. Zod drops them by default; a program that sends `group` for `groups` has to be told,
 * or it assumes that it took effect.
 *
 * Invariant: only what a shape leaves open on purpose (`z.looseObject`, records, `unknown`) is left alone.
 */
import type { $ZodType, $ZodTypes } from 'zod/v4/core';
import { safeParse } from 'zod/v4/core';

interface UnknownKey {
  /** With dots, such as `settings.hosts.0.name`. */
  path: string;
  /** The keys that are allowed there. */
  known: string[];
}

/**
 * The first key of `value` that `schema` does not know; null when there is none. `value` fits the schema otherwise.
 * @param looseToo treats loose objects as strict, if they are loose only for the sake of stored rows
 */
export function unknownKey(
  schema: $ZodType,
  value: unknown,
  looseToo = false,
  path: readonly string[] = [],
): UnknownKey | null {
  const { def } = (schema as $ZodTypes)._zod;
  const inner = (of: $ZodType, part = value, key?: string) =>
    unknownKey(of, part, looseToo, key === undefined ? path : [...path, key]);
  switch (def.type) {
    case 'object':
      return isRecord(value) ? inObject(def.shape, def.catchall !== undefined && !looseToo) : null;
    case 'array':
      return Array.isArray(value) ? first(value.map((part, index) => inner(def.element, part, String(index)))) : null;
    case 'record':
      return isRecord(value)
        ? first(Object.entries(value).map(([key, part]) => inner(def.valueType, part, key)))
        : null;
    case 'union': {
      const found = def.options.filter((option) => safeParse(option, value).success).map((option) => inner(option));
      return found.includes(null) ? null : first(found);
    }
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'readonly':
    case 'catch':
      return inner(def.innerType);
    case 'pipe':
      return inner(def.in);
    default:
      return null;
  }

  function inObject(shape: Readonly<Record<string, $ZodType>>, open: boolean): UnknownKey | null {
    const known = Object.keys(shape);
    return first(
      Object.entries(value as Record<string, unknown>).map(([key, part]) => {
        const of = Object.hasOwn(shape, key) ? shape[key] : undefined;
        if (of !== undefined) return inner(of, part, key);
        return open ? null : { path: [...path, key].join('.'), known };
      }),
    );
  }
}

function first(found: readonly (UnknownKey | null)[]): UnknownKey | null {
  return found.find((one) => one !== null) ?? null;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
