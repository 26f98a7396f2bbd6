/** Exact replacements in the sources of a copy of the tree: for archives that are wrong on purpose, and for known bugs. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One place in the sources, and what stands there instead. */
export interface SourceEdit {
  /** From the root of the tree. */
  readonly file: string;
  /** Stands there exactly once, line breaks and all. */
  readonly find: string;
  readonly replace: string;
}

/** @throws Error where the text is not there exactly once. */
export function edited(text: string, { file, find, replace }: SourceEdit): string {
  const times = text.split(find).length - 1;
  if (times !== 1) throw new Error(`${file} holds ${times} times instead of once: ${find}`);
  return text.replace(find, () => replace);
}

/** Edits the tree in place, one edit after the other; returns what puts the files back. */
export async function applyEdits(tree: string, edits: readonly SourceEdit[]): Promise<() => Promise<void>> {
  const before = new Map<string, string>();
  for (const edit of edits) {
    const path = join(tree, edit.file);
    const text = await readFile(path, 'utf8');
    if (!before.has(path)) before.set(path, text);
    await writeFile(path, edited(text, edit));
  }
  return async () => {
    for (const [path, text] of before) await writeFile(path, text);
  };
}
