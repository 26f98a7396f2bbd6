/** `bramble events --follow` goes on over the end of a service, with the one that serves next. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Registry } from 'prom-client';
import { recordEvent } from '../domain/events.ts';
import { healthHandler } from '../process/health.ts';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { administrationServer } from '../processes/administration/administration-server.ts';
import { until } from '../testing/condition.ts';
import { runBramble } from './command-line-fixture.ts';

const limited = { timeout: 90_000 };
const admin = await startAdministration();
after(async () => await admin.close());

const listening = async () => {
  const app = await administrationServer({
    context: admin.context,
    health: healthHandler({ registry: new Registry(), ready: () => null }),
  });
  return { url: await app.listen({ host: '127.0.0.1', port: 0 }), close: async () => await app.close() };
};

function following(urls: readonly string[], ...args: string[]) {
  const main = fileURLToPath(new URL('main.ts', import.meta.url));
  const child = spawn(process.execPath, [main, 'events', '--follow', ...args], {
    env: { ...process.env, BRAMBLE_URL: urls.join(','), BRAMBLE_TOKEN: admin.token, BRAMBLE_HOME: admin.home },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  after(() => child.kill());
  return {
    lines: () => output.split('\n').filter((line) => line !== ''),
    errors: () => errors,
    end: async () => {
      child.kill();
      await once(child, 'exit');
    },
  };
}
const record = async (message: string) => await recordEvent(admin.db, { kind: 'test', message });

test('nothing is missed or shown twice when another service takes over', limited, async () => {
  const [first, second] = [await listening(), await listening()];
  await record('of before');
  const people = following([first.url, second.url], '--limit', '1');
  const program = following([first.url, second.url], '--json', '--topic', 'events');
  const shown = ({ lines }: typeof people, text: string) => lines().filter((line) => line.includes(text)).length;
  await until('both follow', 60_000, () =>
    [shown(people, 'live from here on'), shown(program, '"ready"')].every((count) => count === 1),
  );
  await record('while the first serves');
  await until('it is shown', 30_000, () =>
    [people, program].every((each) => shown(each, 'while the first serves') === 1),
  );
  await Promise.all([first.close(), record('between the two')]);
  await record('while the second serves');
  await until('the second tells it', 60_000, () =>
    [people, program].every((each) => shown(each, 'while the second serves') === 1),
  );
  await Promise.all([people.end(), program.end()]);
  await second.close();
  for (const each of [people, program]) assert.equal(shown(each, 'between the two'), 1, each.lines().join('\n'));
  assert.deepEqual([shown(people, 'of before'), shown(program, 'of before')], [1, 0]);
  for (const line of program.lines()) assert.ok(JSON.parse(line).at, line);
});

test('a topic that nobody knows is refused with those that are known', limited, async () => {
  const { code, errors } = await runBramble(admin, ['events', '--follow', '--topic', 'weather']);
  assert.equal(code, 2);
  assert.match(errors, /known are events/);
});
