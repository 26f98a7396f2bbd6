/** Whatever people read on a page of the console stands in this folder, where it can be read in one go. */
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { transform } from 'esbuild';

const folder = path.dirname(import.meta.dirname);

/** Not for people: what browsers call their things. */
const excused = new Set([
  ...[
    'Edg',
    'Mac OS X',
    'PublicKeyCredential',
    'ArrowLeft',
    'ArrowRight',
    'ArrowUp',
    'ArrowDown',
    'Enter',
    'Home',
    'End',
  ],
  ...['summary, a[href], button, input', 'input:not([hidden]), select, textarea, button'],
]);
/** Attributes that people read. */
const readAttributes = /(?:label|title|hint|lead|what|caption|act|busyAct|placeholder|text|alt|"aria-label")$/;
/** Attributes that nobody reads. */
const unreadAttributes = /(?:className|key|d|viewBox|autoComplete|command)$/;

interface Literal {
  readonly text: string;
  /** What it is given to: the name of a property, if it is given to one, perhaps by way of a condition. */
  readonly property: string;
}

/** Strings and the fixed parts of templates in JavaScript, as esbuild writes it: texts of elements are strings there, too. */
function literalsOf(code: string): Literal[] {
  const found: Literal[] = [];
  const pattern =
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|`((?:\\.|[^`\\])*)`|\/(?![*/\s])(?:\\.|\[(?:\\.|[^\]\\])*\]|[^/\\\n])+\/[gimsuy]*(?=[.,;)\s])/g;
  for (const match of code.matchAll(pattern)) {
    const text = match[1] ?? match[2] ?? match[3]?.replaceAll(/\$\{[^}]*\}/g, '0');
    const before = code.slice(Math.max(0, match.index - 300), match.index);
    // The name of an element, or what something is compared with.
    if (text === undefined || /(?:jsxs?\(|[=!]== )$/.test(before)) continue;
    const property = /([\w"-]+): (?:[^{}():;,]| : |\([^{}();]*\))*$/.exec(before)?.[1] ?? '';
    found.push({ text: text.replaceAll(/\\./g, ''), property });
  }
  return found;
}

function isForPeople({ text, property }: Literal): boolean {
  if (!/\p{L}/u.test(text) || excused.has(text) || unreadAttributes.test(property)) return false;
  // A command, a request, an address.
  if (/^(?:bramble|--[a-z]|GET |0?\/)/.test(text)) return false;
  if (readAttributes.test(property) || property === 'children') return true;
  // A sentence, or a word with a capital.
  return /\p{L}{2,} \p{L}/u.test(text) || /^\p{Lu}\p{Ll}/u.test(text) || /^ ?\p{L}+ | \p{L}+ ?$/u.test(text);
}

async function textsIn(source: string, loader: 'ts' | 'tsx'): Promise<string[]> {
  const { code } = await transform(source, { loader, jsx: 'automatic', format: 'esm', charset: 'utf8' });
  const withoutImports = code.replaceAll(/^(?:import|export) .*? from "[^"]*";$|^import "[^"]*";$/gm, '');
  return literalsOf(withoutImports.replaceAll(/import\("[^"]*"\)/g, 'x'))
    .filter(isForPeople)
    .map(({ text }) => text);
}

test('no text for people stands outside of the messages', async () => {
  const files = globSync('**/*.{ts,tsx}', { cwd: folder }).filter(
    (file) => !file.startsWith('messages') && !file.endsWith('.test.ts'),
  );
  assert.ok(files.length > 30);
  const found: string[] = [];
  for (const file of files) {
    const texts = await textsIn(await readFile(path.join(folder, file), 'utf8'), file.endsWith('x') ? 'tsx' : 'ts');
    found.push(...texts.map((text) => `${file}: ${text}`));
  }
  assert.deepEqual(found, []);
});

test('no message is left that no page shows', async () => {
  const pages = await Promise.all(
    globSync('**/*.{ts,tsx}', { cwd: folder, exclude: ['**/*.test.ts'] }).map(
      async (file) => await readFile(path.join(folder, file), 'utf8'),
    ),
  );
  const named = new Map<string, number>();
  for (const word of pages.join('\n').match(/[A-Za-z]\w*/g) ?? []) named.set(word, (named.get(word) ?? 0) + 1);
  for (const file of globSync('*.ts', { cwd: import.meta.dirname, exclude: ['*.test.ts'] })) {
    const texts = (await import(path.join(import.meta.dirname, file))) as Record<string, unknown>;
    // Where it is written, and where it is shown.
    const unused = namesIn(Object.values(texts)).filter((name) => (named.get(name) ?? 0) < 2);
    assert.deepEqual(unused, [], file);
  }
});

function namesIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const inner = Object.values(value).flatMap(namesIn);
  return Array.isArray(value) ? inner : [...Object.keys(value).filter((key) => /^\w+$/.test(key)), ...inner];
}

test('texts are found in elements, attributes, conditions and templates, and classes are none', async () => {
  const source = `
    const a = <p className="small soft">Nothing yet</p>;
    const b = <Card title="x" aside={isOpen ? 'open' : 'closed'}>by {name}</Card>;
    const c = <p>{name === '' ? 'never' : \`\${count} devices are here\`}</p>;
    const d = { reason: 'It does not answer' };
    const e = <Field label={'Name'} type="text" style={{ width: 'calc(100% - 2px)' }} />;
    const f = /(Edg|Firefox on Linux)/.exec(client);`;
  assert.deepEqual(await textsIn(source, 'tsx'), [
    ...['Nothing yet', 'x', 'by ', 'never', '0 devices are here', 'It does not answer', 'Name'],
  ]);
});
