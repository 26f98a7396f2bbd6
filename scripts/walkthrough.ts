/** `npm run walkthrough`: types docs/upgrading.md from its first command to its last, and fails where something else is shown. */
import { readFile } from 'node:fs/promises';
import { messageOf } from '../src/base/errors.ts';
import { readOptions } from './script-options.ts';
import { parseDocument } from './walkthrough-document.ts';
import { startWalk } from './walkthrough-run.ts';

const usage = `npm run walkthrough
  (none)  types docs/upgrading.md from its first command to its last, in about seven minutes`;
readOptions(usage, {});

const document = new URL('../docs/upgrading.md', import.meta.url);
const walk = await startWalk((text) => process.stdout.write(`${text}\n`));
const startedAt = performance.now();
let ending: Promise<void> | undefined;
const end = () => (ending ??= walk.end());
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => void end().finally(() => process.exit(130)));
}
try {
  for (const block of parseDocument(await readFile(document, 'utf8'))) await walk.follow(block);
  process.stdout.write(
    `\nEverything was as it is written, in ${Math.round((performance.now() - startedAt) / 1000)} s.\n`,
  );
} catch (error) {
  if (ending === undefined) {
    process.stderr.write(`error: ${messageOf(error)}\n`);
    // How it stands: whatever of this is still to be had.
    for (const command of ['bramble upgrade report', 'bramble status', 'bramble events --limit 20']) {
      await walk.follow({ mode: 'once', typed: [{ command, shown: [], line: 0 }] }).catch(() => undefined);
    }
    process.exitCode = 1;
  }
} finally {
  await end();
}
