/** What of a checkout a release is built from, under another number: for trials and tests, never for a seal. */
import { cp, mkdir, readFile, symlink } from 'node:fs/promises';
import path from 'node:path';
import { applyEdits } from './source-edit.ts';

/** Copies it to `to`, which must not be there yet, with the same modules. */
export async function copyTree(from: string, to: string, release: string): Promise<void> {
  const { version } = JSON.parse(await readFile(path.join(from, 'package.json'), 'utf8')) as { version: string };
  await mkdir(to);
  for (const part of ['src', 'sql', 'scripts', 'package.json']) {
    await cp(path.join(from, part), path.join(to, part), { recursive: true });
  }
  await symlink(path.join(from, 'node_modules'), path.join(to, 'node_modules'));
  await applyEdits(to, [
    { file: 'package.json', find: `"version": "${version}"`, replace: `"version": "${release}"` },
    { file: 'src/release/this-release.ts', find: `release: '${version}'`, replace: `release: '${release}'` },
  ]);
}
