/**
 * The built-in array types. Their numbers never change, so no connection asks the database for them: the driver's own
 * query runs outside any statement, and a failure there (a pooler whose server is gone) would end the process.
 */
import type postgres from 'postgres';

type Convert = (value: never) => unknown;

/** Of the element, of its array: `pg_type.dat` of PostgreSQL. */
const arrayTypes: readonly (readonly [element: number, array: number])[] = [
  [16, 1000], // boolean
  [17, 1001], // bytea
  [18, 1002], // "char"
  [19, 1003], // name
  [20, 1016], // bigint
  [21, 1005], // smallint
  [23, 1007], // integer
  [25, 1009], // text
  [26, 1028], // oid
  [114, 199], // json
  [700, 1021], // real
  [701, 1022], // double precision
  [1042, 1014], // char(n)
  [1043, 1015], // varchar
  [1082, 1182], // date
  [1114, 1115], // timestamp
  [1184, 1185], // timestamptz
  [1700, 1231], // numeric
  [2950, 2951], // uuid
  [3802, 3807], // jsonb
  [5069, 271], // xid8
];

/** Adds to a connection's options the arrays of the element types that they know. */
export function addArrayTypes(options: Pick<postgres.ParsedOptions, 'parsers' | 'serializers'>): void {
  for (const [element, array] of arrayTypes) {
    options.parsers[array] = (text: string) => parseArray(text, options.parsers[element] as Convert | undefined);
    options.serializers[array] = (value: unknown) =>
      Array.isArray(value) ? serializeArray(value, options.serializers[element] as Convert | undefined) : value;
  }
}

/** An array literal with all its elements quoted. */
function serializeArray(values: readonly unknown[], convert?: Convert): string {
  const texts = values.map((value) => {
    if (value === undefined) throw new TypeError('undefined in an array for the database');
    if (value === null) return 'null';
    if (Array.isArray(value)) return serializeArray(value, convert);
    return `"${String(convert ? convert(value as never) : value).replace(/["\\]/g, '\\$&')}"`;
  });
  return `{${texts.join(',')}}`;
}

/** PostgreSQL's output: `{a,"b \"c\"",NULL,{…}}`. */
function parseArray(text: string, convert?: Convert): unknown[] {
  const found: unknown[][] = [[]];
  // One element: quoted with escapes, unquoted, or a brace. A lower bound before the first brace is not kept.
  const token = /"((?:[^"\\]|\\.)*)"|([{}])|([^{},"]+)/gs;
  token.lastIndex = text.indexOf('{');
  for (const [, quoted, brace, plain] of text.matchAll(token)) {
    if (brace === '{') {
      found.push([]);
      continue;
    }
    const inner = brace === '}' ? found.pop() : undefined;
    found.at(-1)?.push(inner ?? element(quoted, plain, convert));
  }
  return found[0]?.[0] as unknown[];
}

function element(quoted: string | undefined, plain: string | undefined, convert?: Convert): unknown {
  if (plain === 'NULL') return null;
  const text = quoted?.replace(/\\(.)/gs, '$1') ?? plain ?? '';
  return convert ? convert(text as never) : text;
}
