/** Completion as bash carries it out, with the script that the program prints. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { runBramble } from './command-line-fixture.ts';

const folder = await mkdtemp(join(tmpdir(), 'bramble-completion-'));
after(async () => await rm(folder, { recursive: true, force: true }));
const nowhere = { url: '', token: '', home: folder };

async function scriptFor(shell: string): Promise<string> {
  const { code, output, errors } = await runBramble(nowhere, ['completion', shell], { environment: {} });
  assert.equal(code, 0, errors);
  return output;
}

const bash = await scriptFor('bash');
await writeFile(join(folder, 'bash'), bash);

/** What bash offers for the last word. */
function offered(...words: readonly string[]): string[] {
  const program = `source ${join(folder, 'bash')}
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _bramble
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const output = execFileSync('bash', ['--norc', '-c', program, 'bash', 'bramble', ...words], { encoding: 'utf8' });
  return output.split('\n').filter((line) => line !== '');
}

test('bash completes commands, sub-commands by any of their names, and options', () => {
  assert.deepEqual(offered('acc'), ['account']);
  assert.ok(offered('').includes('upgrade') && offered('').includes('--url'));
  assert.deepEqual(offered('profile', ''), offered('profiles', ''));
  assert.deepEqual(
    offered('profile', '').filter((word) => !word.startsWith('-')),
    ['add', 'list', 'use', 'remove'],
  );
  assert.deepEqual(offered('profile', 'add', 'example', '--token'), ['--token-file', '--token']);
  assert.deepEqual(offered('completion', 'f'), ['fish']);
  assert.deepEqual(offered('token', 'create', '--ro'), ['--role']);
});

test('bash offers nothing of its own after an option that takes a value, and goes on behind the value', () => {
  assert.deepEqual(offered('--profile', ''), []);
  assert.deepEqual(offered('--profile', 'account', 'sta'), ['status']);
  assert.deepEqual(offered('--json', 'sta'), ['status']);
  assert.deepEqual(offered('no-such-command', 'x'), []);
});

test('the script is proper, and the other shells have theirs of the same tree', async () => {
  execFileSync('bash', ['-n', join(folder, 'bash')]);
  const [zsh, fish] = [await scriptFor('zsh'), await scriptFor('fish')];
  assert.ok(zsh.startsWith('#compdef bramble\n') && zsh.endsWith(bash));
  for (const word of ['account', 'authority', '--token-file', 'completion'])
    assert.ok(fish.includes(`'${word}'`), word);
  const { code, errors } = await runBramble(nowhere, ['completion', 'tcsh'], { environment: {} });
  assert.equal(code, 2, errors);
});
