/** What people read fits their terminal: nothing breaks within a word, and what is to be copied stays on one line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import stringWidth from 'string-width';
import { wrappedText } from './column-layout.ts';
import { runBramble } from './command-line-fixture.ts';

const nowhere = { url: 'http://127.0.0.1:1', token: 'none', home: '/nonexistent' };
const environment = { BRAMBLE_HOME: '/nonexistent', NO_COLOR: '1' };

test('running text continues below itself, and a command or a numbered step stays recognizable', () => {
  const text = [
    'Nothing new is placed on berlin-2; to use it again: `bramble host drain berlin-2 --off`, or remove it.',
    '  gate: wave 1 (canary) is undecided: needs 12 more good samples of server-1-1-4',
    '    → bramble upgrade resume --accept-gate, or bramble upgrade reverse',
    '2. Cancel what must not be done a second time, such as a wipe.',
    'On that computer:',
    '  BRAMBLE_HOME=/var/lib/bramble bramble join --invitation berlin-2.invitation',
  ].join('\n');
  assert.equal(
    wrappedText(text, 50),
    `\
Nothing new is placed on berlin-2; to use it
again: \`bramble host drain berlin-2 --off\`, or
remove it.
  gate: wave 1 (canary) is undecided: needs 12
    more good samples of server-1-1-4
    → bramble upgrade resume --accept-gate, or bramble upgrade reverse
2. Cancel what must not be done a second time,
   such as a wipe.
On that computer:
  BRAMBLE_HOME=/var/lib/bramble bramble join --invitation berlin-2.invitation`,
  );
  assert.equal(wrappedText(text, Number.POSITIVE_INFINITY), text);
});

test('errors and JSON: the one fits the terminal, the other is left alone', async () => {
  const { errors } = await runBramble(nowhere, ['status'], { environment, columns: 60 });
  assert.match(errors, /No administrator token was given/);
  assert.deepEqual(tooWide(errors, 60), []);
  const json = await runBramble(nowhere, ['status', '--json'], { environment, columns: 60 });
  assert.equal(JSON.parse(json.errors).code, 'ERR_ADMIN_ACCESS');
});

test('the help of every command fits a terminal of 110 columns, but for its examples', async () => {
  const left: string[][] = [[]];
  let seen = 0;
  for (let argv = left.pop(); argv !== undefined; argv = left.pop()) {
    const { output } = await runBramble(nowhere, [...argv, '--help'], { environment, columns: 110 });
    const [help = ''] = output.split('\nExample:');
    assert.deepEqual(tooWide(help, 110), [], argv.join(' '));
    seen++;
    const [, commands = ''] = help.split('\nCommands:\n');
    for (const [, name = ''] of commands.matchAll(/^ {2}([a-z-]+)\b/gm)) {
      if (name !== 'help') left.push([...argv, name]);
    }
  }
  assert.ok(seen > 100, `${seen}`);
});

function tooWide(text: string, columns: number): string[] {
  return text.split('\n').filter((line) => stringWidth(line) > columns);
}
