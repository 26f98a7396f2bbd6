/** `npm run walkthrough`: types a document from its first command to its last, and fails where something else is shown. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { messageOf } from '../src/base/errors.ts';
import { readOptions } from './script-options.ts';
import { parseDocument } from './walkthrough-document.ts';
import { startWalk } from './walkthrough-run.ts';

const checkout = resolve(import.meta.dirname, '..');
const usage = `npm run walkthrough [-- <document>…]
  (none)        types docs/upgrading.md and docs/hosts.md from the first command to the last, in about fourteen minutes
  <document>…   types these instead`;
const { positionals } = readOptions(usage, { allowPositionals: true });
const documents = positionals.length === 0 ? ['docs/upgrading.md', 'docs/hosts.md'] : positionals;

let end: () => Promise<void> = async () => undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void end().finally(() => process.exit(130)));
}
for (const document of documents) await type(document);

async function type(document: string): Promise<void> {
  const say = (text: string) => process.stdout.write(`${text}\n`);
  const differences: Error[] = [];
  const blocks = parseDocument(await readFile(resolve(checkout, document), 'utf8'));
  // What was carried out and only shown otherwise does not end the walk: the reader of a failure wants all of it at once.
  const walk = await startWalk(say, { document, differs: (difference) => differences.push(difference) });
  let ending: Promise<void> | undefined;
  end = () => (ending ??= walk.end());
  const startedAt = performance.now();
  try {
    for (const block of blocks) await walk.follow(block);
  } catch (error) {
    if (ending !== undefined) return;
    differences.push(error as Error);
    // How it stands: whatever of this is still to be had.
    for (const command of ['bramble upgrade report', 'bramble status', 'bramble events --limit 20']) {
      await walk.follow({ mode: 'once', typed: [{ command, shown: [], line: 0 }] }).catch(() => undefined);
    }
  } finally {
    await end();
  }
  const seconds = Math.round((performance.now() - startedAt) / 1000);
  for (const difference of differences) process.stderr.write(`\nerror: ${messageOf(difference)}\n`);
  if (differences.length > 0) process.exitCode = 1;
  else say(`\n${document}: everything was as it is written, in ${seconds} s.`);
}
