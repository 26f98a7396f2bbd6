/** The document of an upgrade can be followed: it is read whole here, and its beginning is typed. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, test } from 'node:test';
import { until } from '../src/testing/condition.ts';
import { missingLine, parseDocument } from './walkthrough-document.ts';
import { startWalk } from './walkthrough-run.ts';

const document = parseDocument(await readFile(new URL('../docs/upgrading.md', import.meta.url), 'utf8'));
const typed = document.flatMap((block) => block.typed);

test('the document goes from a domain of the sealed release to its end', () => {
  const commands = typed.map(({ command }) => command).join('\n');
  for (const part of [
    /^bramble domain create --archive releases\/bramble-1\.3\.0\.tgz/m,
    /^bramble upgrade rehearse /m,
    /^bramble backup verify /m,
    /^bramble upgrade plan .* --preview$/m,
    /^bramble upgrade start --override backup$/m,
    /^bramble upgrade pause /m,
    /^bramble upgrade reverse$/m,
    /^bramble upgrade set /m,
    /^bramble account assign /m,
    /^bramble upgrade retry$/m,
    /^bramble upgrade finalize$/m,
    /^bramble instance retire /m,
    /^bramble release compatible /m,
    /^bramble down$/m,
  ]) {
    assert.match(commands, part);
  }
  // What is repeated until it shows something has to say what.
  for (const block of document.filter(({ mode }) => mode === 'again'))
    assert.ok((block.typed[0]?.shown.length ?? 0) > 0);
});

test('the document of further hosts goes from one host to two, and back', async () => {
  const blocks = parseDocument(await readFile(new URL('../docs/hosts.md', import.meta.url), 'utf8'));
  const commands = blocks.flatMap(({ typed }) => typed.map(({ command }) => command)).join('\n');
  for (const part of [
    /^bramble database export --database-url /m,
    /^bramble database roles --use$/m,
    /^bramble host invite berlin-2 /m,
    / bramble join --invitation /m,
    /^bramble instance add server-2 --host berlin-2$/m,
    /^bramble upgrade finalize$/m,
    /^bramble host drain berlin-2 --to /m,
    /^bramble host remove berlin-2 /m,
    /^bramble down$/m,
  ]) {
    assert.match(commands, part);
  }
});

test('shown lines are compared in order, with blanks as one and dots for what differs', () => {
  const output = 'release     1.1.0\n\nserver-1  at work   7 devices\nserver-2  absent  0 devices\n';
  assert.equal(missingLine(['release 1.1.0', '', '…', 'server-2 … 0 devices'], output), undefined);
  assert.equal(missingLine(['server-2 …', 'server-1 …'], output), 'server-1 …');
  assert.equal(missingLine(['release 1.1'], output), 'release 1.1');
  assert.equal(missingLine(['server-1 at work [7] devices'], output), 'server-1 at work [7] devices');
});

test('a block that nobody could follow is refused with its line', () => {
  const block = (info: string, ...lines: string[]) => ['', `\`\`\`${info}`, ...lines, '```'].join('\n');
  assert.throws(() => parseDocument(block('console agian', '$ true')), /^Error: line 2: console is followed by/);
  assert.throws(() => parseDocument(block('console', 'shown')), /^Error: line 3: something is shown before/);
  assert.throws(() => parseDocument(block('console')), /nothing is typed/);
  assert.throws(() => parseDocument(block('console terminal', '$ true', '$ true')), /one command/);
  assert.deepEqual(parseDocument(block('sh', 'true')), []);
});

test('what a terminal shows at its end is held against the document', { timeout: 120_000 }, async () => {
  const walk = await startWalk(() => undefined);
  after(async () => await walk.end());
  const command = `bash -c 'trap "echo put back; exit" INT; touch ~/ready; while :; do sleep 0.1; done'`;
  const walked = async (mode: string, typed: string, shown: string) => {
    const [block = assert.fail()] = parseDocument(`\`\`\`console ${mode}\n$ ${typed}\n${shown}\n\`\`\``);
    await walk.follow(block);
  };
  for (const [shown, refused] of [
    ['put back', undefined],
    ['left so', /has not shown: left so\nput back/],
  ] as const) {
    await walked('terminal', command, '');
    await walked('again', 'ls ~', 'ready');
    const ended = walked('ctrl-c', command, shown);
    await (refused === undefined ? ended : assert.rejects(ended, refused));
    await walked('', 'rm ~/ready', '');
  }
  await assert.rejects(walked('ctrl-c', command, ''), /goes on in no terminal/);
});

test('a terminal that ends by itself has ended well, and shown what is written', { timeout: 120_000 }, async () => {
  const differences: string[] = [];
  const walk = await startWalk(() => undefined, {
    document: 'some.md',
    differs: ({ message }) => differences.push(message),
  });
  after(async () => await walk.end());
  const follow = async (...lines: string[]) => {
    for (const block of parseDocument(lines.join('\n'))) await walk.follow(block);
  };
  for (const [status, refused] of [
    [0, undefined],
    [3, /some\.md line 2: .* ended with 3\ngone/],
  ] as const) {
    const command = `$ bash -c 'until [ -e ~/over ]; do sleep 0.1; done; echo gone; exit ${status}'`;
    await follow('```console terminal', command, '```', '```console', '$ touch ~/over', '```');
    const ended = follow('```console ends', command, 'gone', 'forever', '```');
    await (refused === undefined ? ended : assert.rejects(ended, refused));
    await follow('```console', '$ rm ~/over', '```');
  }
  // What was carried out and shown otherwise ends the walk only if its listener does.
  assert.deepEqual(differences, [
    `some.md line 2: \`bash -c 'until [ -e ~/over ]; do sleep 0.1; done; echo gone; exit 0'\` has not shown: forever\ngone`,
  ]);
});

test('its beginning makes a domain of the sealed release, as is written', { timeout: 240_000 }, async () => {
  const walk = await startWalk(() => undefined);
  after(async () => await walk.end());
  const first = document.findIndex(({ mode }) => mode === 'terminal');
  assert.ok(first > 0);
  for (const block of document.slice(0, first)) await walk.follow(block);
  const configuration = JSON.parse(await readFile(`${walk.folder}/bramble-walk/home/config.json`, 'utf8'));
  assert.equal(configuration.database.embedded, true);
  const again = parseDocument('```console\n$ bramble domain create --archive releases/bramble-1.2.1.tgz\n```');
  await assert.rejects(walk.follow(again[0] ?? assert.fail()), /ended with \d+\n.*holds the domain "Walk" already/);
});

test('a command that does not end is ended with what it has started, and named', { timeout: 60_000 }, async (t) => {
  const walk = await startWalk(() => undefined, { limits: { commandMs: 500, againMs: 0 } });
  t.after(async () => await walk.end());
  const endless = parseDocument('```console\n$ sleep 600 & echo $! > ~/endless; wait\n```');
  await assert.rejects(walk.follow(endless[0] ?? assert.fail()), /line 2: .*sleep 600.* was not done in 500 ms/);
  const pid = Number(await readFile(`${walk.folder}/endless`, 'utf8'));
  await until('what it has started has ended', 30_000, () => {
    try {
      return !process.kill(pid, 0);
    } catch {
      return true;
    }
  });
});
