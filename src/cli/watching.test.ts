/** What is redrawn in place covers exactly the rows that it took. */
import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { BrambleError } from '../base/errors.ts';
import { type Watched, watch } from './watching.ts';

async function written(screen: { isTTY?: boolean; columns?: number; rows?: number }, texts: string[]): Promise<string> {
  let all = '';
  const stream = new Writable({
    write: (chunk, _encoding, done) => {
      all += String(chunk);
      done();
    },
  });
  const look = async () => ({ text: texts.shift() ?? '', over: texts.length === 0 });
  await watch({ look, output: Object.assign(stream, screen), intervalMs: 1 });
  return all;
}

test('a line that is wider than the terminal is gone over with all its rows', async () => {
  const first = ['short', 'x'.repeat(21), '', '\u001b[31m界界界界界\u001b[39m'].join('\n');
  const all = await written({ isTTY: true, columns: 10, rows: 24 }, [first, 'next']);
  // 1 + 3 + 1 + 1: wide characters take two columns, colours none.
  assert.equal(all, `${first}\n\u001b[6A\u001b[Jnext\n`);
});

test('no further up than the top of the screen', async () => {
  const first = 'line\n'.repeat(30).trimEnd();
  assert.ok(
    (await written({ isTTY: true, columns: 80, rows: 5 }, [first, 'next'])).endsWith('\u001b[4A\u001b[Jnext\n'),
  );
});

test('elsewhere than on a terminal nothing is redrawn', async () => {
  assert.equal(await written({}, ['one', 'one', 'two']), 'one\ntwo\n');
});

test('while a service is replaced nobody answers, and the watch goes on; at first, or for too long, it ends', async () => {
  const unreachable = new BrambleError('ERR_ADMIN_UNREACHABLE', 'nobody');
  const ofAnswers =
    (...answers: (Watched | Error)[]) =>
    async () => {
      const [answer] = answers.splice(0, 1);
      if (answer === undefined || answer instanceof Error) throw answer;
      return answer;
    };
  const shown: string[] = [];
  const output = new Writable({
    write: (chunk, _encoding, done) => {
      shown.push(String(chunk));
      done();
    },
  });
  const [one, two] = [
    { text: 'one', over: false },
    { text: 'two', over: true },
  ];
  const lostText = ({ message }: Error) => `: ${message}`;
  await watch({ look: ofAnswers(one, unreachable, unreachable, two), output, intervalMs: 1, lostText });
  assert.deepEqual(shown, ['one\n', 'one: nobody\n', 'two\n']);
  const refused = { code: 'ERR_ADMIN_UNREACHABLE' };
  await assert.rejects(watch({ look: ofAnswers(unreachable, two), output, intervalMs: 1 }), refused);
  await assert.rejects(
    watch({ look: ofAnswers(one, unreachable, two), output, intervalMs: 1, patienceMs: 0 }),
    refused,
  );
  await assert.rejects(watch({ look: ofAnswers(one, new Error('other'), two), output, intervalMs: 1 }), /other/);
});
