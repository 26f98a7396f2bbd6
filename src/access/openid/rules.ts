/**
 * What an OpenID provider says of somebody, and what the domain gives him for it. Invariant: whom no rule fits gets nothing, and
 * groups that are gone give nothing: a rule that was limited never becomes unlimited.
 */
import * as z from 'zod';

/** As stored, in their order. Groups are ids. */
export const rulesShape = z.array(
  z.object({ value: z.string(), role: z.string(), groups: z.array(z.string()).nullable() }),
);
export type Rules = z.output<typeof rulesShape>;

export type Claims = Readonly<Record<string, unknown>>;

interface Grant {
  readonly role: string;
  /** Ids; null for one who is not limited to groups. */
  readonly groups: readonly string[] | null;
}

/** The first rule that fits gives the role. If it is limited, further ones with this role that are limited add their groups. */
export function grantOf(rules: Rules, values: readonly string[]): Grant | null {
  const [first, ...further] = rules.filter(({ value }) => values.includes(value));
  if (first === undefined) return null;
  const { role } = first;
  if (first.groups === null) return { role, groups: null };
  const added = further.filter((rule) => rule.role === role).flatMap(({ groups }) => groups ?? []);
  return { role, groups: [...new Set([...first.groups, ...added])] };
}

/** Of a claim that is a text, a number, a truth value or a list of these. */
export function valuesOf(claims: Claims, path: string): readonly string[] {
  const found = memberAt(claims, path);
  return (Array.isArray(found) ? found : [found]).flatMap((value: unknown) =>
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [String(value)] : [],
  );
}

/** Whether a second factor was shown there, as the answer says (RFC 8176). */
export function saysFactor({ amr }: Claims): boolean {
  return Array.isArray(amr) && amr.includes('mfa');
}

/** Names of claims may have dots of their own, as addresses do: what is there by the whole name comes first. */
function memberAt(claims: unknown, path: string): unknown {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined;
  if (Object.hasOwn(claims, path)) return (claims as Claims)[path];
  const dot = path.indexOf('.');
  const first = path.slice(0, dot);
  return dot > 0 && Object.hasOwn(claims, first) ? memberAt((claims as Claims)[first], path.slice(dot + 1)) : undefined;
}
