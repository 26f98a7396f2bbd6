/**
 * A release is a patch of another not by its number, but because both manifests hold the same migrations, features,
 * link versions and shapes of stored JSON. A pure rule, applied when sealing and in every plan.
 */
import type { Manifest } from './manifest.ts';

/** What `to` changes that a patch of `from` must not, one readable line each; empty when it is a patch. */
export function patchDifferences(from: Manifest, to: Manifest): string[] {
  const numbers = (['schemaVersion', 'leastSchemaVersion'] as const).filter((name) => from[name] !== to[name]);
  return [
    ...numbers.map((name) => `${name} is ${to[name]} instead of ${from[name]}`),
    ...differingKeys(migrationsOf(from), migrationsOf(to), 'the migration'),
    ...differingKeys(presence(from.features), presence(to.features), 'the feature'),
    ...differingKeys(presence(from.linkVersions), presence(to.linkVersions), 'version of the link'),
    ...differingShapes(from, to),
  ];
}

function differingShapes(from: Manifest, to: Manifest): string[] {
  const [older] = [from, to].filter(({ shapes }) => shapes === undefined);
  if (older === undefined) return differingKeys(from.shapes ?? {}, to.shapes ?? {}, 'the stored shape');
  return [`the manifest of ${older.release} does not list the shapes of stored data, as those of 1.2.0 and later do`];
}

function migrationsOf({ files }: Manifest): Record<string, string> {
  const migrations = Object.entries(files).filter(([name]) => name.startsWith('sql/'));
  return Object.fromEntries(migrations.map(([name, digest]) => [name.slice('sql/'.length), digest]));
}

function presence(names: readonly (string | number)[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [String(name), 'present']));
}

function differingKeys(from: Record<string, string>, to: Record<string, string>, what: string): string[] {
  const names = [...new Set([...Object.keys(from), ...Object.keys(to)])].sort();
  return names
    .filter((name) => from[name] !== to[name])
    .map((name) => {
      if (from[name] === undefined) return `${what} ${name} is added`;
      return `${what} ${name} is ${to[name] === undefined ? 'missing' : 'another'}`;
    });
}
