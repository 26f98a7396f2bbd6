/** What nobody else needs is not exported: a reader then sees at once where a name ends. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const checkout = path.dirname(import.meta.dirname);
const files = new Map(
  globSync(
    ['src', 'scripts', 'test', 'demo', 'bench'].map((folder) => `${folder}/**/*.{ts,tsx}`),
    { cwd: checkout },
  ).map((file) => [path.normalize(file), readFileSync(path.join(checkout, file), 'utf8')]),
);

/** What only tests use, though none beside its file does or its file does not need it; and why that is right. */
const excused: Readonly<Record<string, string>> = {
  'src/base/error-codes.ts: errorCodes': 'the type of a code comes from it; docs/errors.md is compared with its groups',
  'src/database/session.ts: prepareSession':
    'plans of statements are examined in a session that is set up like any other',
  'src/platforms/agent/platform.ts: agentReaders':
    'what the agent reads is tested with what the compiler makes for Apple’s',
  'src/platforms/apple/messages.ts: reportOf':
    'what the core keeps of a report is tested with answers that no plist can hold',
  'src/simulator/journal-summary.ts: currentProfiles':
    'a journal’s evidence belongs in one file, and the demo shows the rest',
};

const isForTests = (file: string) =>
  /\.test\.ts$|-fixture\.ts$/.test(file) || /^(?:test|src\/testing)\//.test(file.replaceAll(path.sep, '/'));

/** By `file name`, the files that take it by name; by `file *`, those that take all there is. */
function usersByName(): Map<string, Set<string>> {
  const users = new Map<string, Set<string>>();
  for (const [file, text] of files) {
    const note = (specifier: string, name: string) => {
      const key = `${path.normalize(path.join(path.dirname(file), specifier))} ${name}`;
      users.set(key, (users.get(key) ?? new Set()).add(file));
    };
    for (const [, names, specifier = ''] of text.matchAll(
      /^(?:import|export)\s(?:type\s)?(?:\{([^}]*)\}|[^'{]*)\s?from '(\.[^']+)'/gm,
    )) {
      if (names === undefined) note(specifier, '*');
      for (const name of (names ?? '').split(',')) {
        note(
          specifier,
          name
            .trim()
            .replace(/^type /, '')
            .replace(/ as .*/, ''),
        );
      }
    }
    for (const [, specifier = ''] of text.matchAll(/import\(\s*'(\.[^']+)'/g)) note(specifier, '*');
  }
  return users;
}

interface Export {
  /** As in `excused`. */
  place: string;
  users: readonly string[];
  isType: boolean;
  /** Whether its own file needs it too. */
  isUsedInside: boolean;
  /** Whether a test or fixture in the same folder uses it: a test of this unit. */
  isTestedBeside: boolean;
}

function listExports(): Export[] {
  const byName = usersByName();
  return [...files].flatMap(([file, text]) => {
    if (!file.startsWith('src')) return [];
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
    const declared = code.matchAll(
      /^export (?:abstract )?(?:async )?(function\*?|const|let|class|interface|type) (\w+)/gm,
    );
    return [...declared].map(([, kind = '', name = '']) => {
      const users = [...(byName.get(`${file} ${name}`) ?? []), ...(byName.get(`${file} *`) ?? [])];
      return {
        place: `${file.replaceAll(path.sep, '/')}: ${name}`,
        users,
        isType: kind === 'interface' || kind === 'type',
        isUsedInside: [...code.matchAll(new RegExp(`\\b${name}\\b`, 'g'))].length > 1,
        isTestedBeside: users.some((user) => isForTests(user) && path.dirname(user) === path.dirname(file)),
      };
    });
  });
}

const exported = listExports();
const places = (found: readonly Export[]) => found.map(({ place }) => place);

test('every function, constant, class and type that src/ exports is used by another file', () => {
  assert.ok(exported.filter(({ users }) => users.length > 0).length > 1000, 'imports are seen');
  assert.deepEqual(places(exported.filter(({ users }) => users.length === 0)), []);
});

test('what only tests use is needed by its own file, and tested beside it or the type of something there', () => {
  const forTestsOnly = exported.filter(
    ({ place, users }) => !isForTests(place.replace(/: .*/, '')) && users.length > 0 && users.every(isForTests),
  );
  const unfit = forTestsOnly.filter(
    ({ isType, isUsedInside, isTestedBeside }) => !(isUsedInside && (isType || isTestedBeside)),
  );
  assert.deepEqual(places(unfit).sort(), Object.keys(excused).sort());
});
