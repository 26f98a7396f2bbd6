/** Wrong arguments and help are the same in every command, that of the simulator too. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { startAdministration } from '../processes/administration/administration-fixture.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const admin = await startAdministration();
after(async () => {
  await admin.close();
});

const bramble = (argv: string[], options?: Parameters<typeof runBramble>[2]) => runBramble(admin, argv, options);

test('the options of the simulator are held to the same as all others', async () => {
  for (const [argv, says] of [
    [['--devices', 'abc'], /a whole number from 1 to 999999/],
    [['--nope'], /Unknown option '--nope'/],
    [['--ca', '/nonexistent/ca.pem'], /"\/nonexistent\/ca\.pem" cannot be read: there is no such file/],
  ] as const) {
    const { code, output, errors } = await bramble(['simulate', ...argv]);
    assert.deepEqual([code, output], [exitCode.usage, '']);
    assert.match(errors, says);
    assert.match(errors, /^error: .* \(ERR_[A-Z]+\)\n$/);
    const asJson = await bramble(['--json', 'simulate', ...argv]);
    assert.equal(asJson.code, exitCode.usage);
    assert.match(JSON.parse(asJson.errors).message, says);
  }
});

test('a group of commands without one of them shows its help, or says so as JSON', async () => {
  const { code, errors } = await bramble(['account']);
  assert.equal(code, exitCode.usage);
  assert.match(errors, /Usage: bramble account[\s\S]*A command is missing.*\(ERR_USAGE\)/);
  assert.equal(JSON.parse((await bramble(['account', '--json'])).errors).code, 'ERR_USAGE');
});

test('help shows no default that says nothing', async () => {
  for (const argv of [
    ['push'],
    ['account', 'create'],
    ['policy', 'set'],
    ['device', 'cancel'],
    ['upgrade', 'plan'],
    ['simulate'],
  ]) {
    const { code, output } = await bramble([...argv, '--help']);
    assert.equal(code, exitCode.ok);
    assert.match(output, new RegExp(`Usage: bramble ${argv.join(' ')}`));
    assert.doesNotMatch(output, /default:\s+(\{\}|\[\]|false|""|900000)/);
  }
});

test('help of release compatible names each exit status on a line of its own', async () => {
  const { output } = await bramble(['release', 'compatible', '--help']);
  const [, listed = ''] = output.split('Exit status:\n');
  const statuses = listed.trimEnd().split('\n');
  const codes = [exitCode.ok, exitCode.refused, exitCode.alreadyThere, exitCode.minorStep];
  assert.deepEqual(
    statuses.map((line) => Number(/^ {2}(\d+) +[a-z]/.exec(line)?.[1])),
    codes,
  );
});

test('help lists commands without their aliases, and no line is wider than 80 columns', async () => {
  const { output } = await bramble(['--help']);
  const [, listed = ''] = output.split('Commands:\n');
  assert.match(listed, /^ {2}connection-service /m);
  assert.doesNotMatch(listed, /^ {2}\S+\|/m);
  assert.ok(listed.split('\n').every((line) => line.length <= 80));
});

test('archives that are missing have one exit status', async () => {
  for (const verb of ['verify', 'install']) {
    const { code, errors } = await bramble(['release', verb, '/nonexistent.tgz']);
    assert.equal(code, exitCode.usage);
    assert.match(errors, /ERR_RELEASE_ARCHIVE_MISSING/);
  }
});

test('a word that is nearly a command is answered with that command, as a sentence', async () => {
  const { errors } = await bramble(['domian']);
  assert.match(errors, /^error: Unknown command 'domian'\. Did you mean domain\? See --help\. \(ERR_USAGE\)\n$/);
});

test('nobody is asked for the passphrase of a backup that there is not', async () => {
  for (const words of [
    ['backup', 'verify'],
    ['upgrade', 'rehearse'],
  ]) {
    const { errors } = await bramble([...words, '/nonexistent.backup']);
    assert.match(errors, /\/nonexistent\.backup cannot be read as a backup.*\(ERR_BACKUP_FILE\)/s);
  }
});
