/**
 * One origin over the release fence, forward and back: who asks at the console's address is answered all the time, by the
 * administration service or, while none is at work, by the coordinator, and sees no connection refused. A page that is open all the
 * while says who upgrades, and goes on with the next release's own page.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { administratorOperations } from '../../src/api/administrators.ts';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { recordEvent } from '../../src/domain/events.ts';
import { thisRelease } from '../../src/release/this-release.ts';
import { type Browser, type Page, startBrowser } from '../../src/testing/browser.ts';
import { until } from '../../src/testing/condition.ts';
import { exitWithin } from '../../src/testing/process.ts';
import { nextArchive, sharedFolderVariable, workingTreeArchive, workingTreeProgram } from '../harness/archives.ts';
import { type ConsolePoll, pollConsole } from '../harness/console-poll.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { openGate, untilUpgrade } from '../harness/upgrade.ts';

describe('the console’s origin', { timeout: 400_000 }, () => {
  let domain: RunningDomain;
  let polls: ConsolePoll[];
  let browser: Browser;
  let page: Page;
  let next: string;
  let followed: Followed;

  before(async () => {
    domain = await startDomain({ archive: (await workingTreeArchive()).file, instances: 1 });
    const archive = await nextArchive();
    next = archive.release;
    browser = await startBrowser(process.env[sharedFolderVariable]);
    page = await (await browser.newContext()).newPage();
    page.setDefaultTimeout(60_000);
    await domain.api.call(upgradeOperations.plan, { body: { archive: archive.file, soakSeconds: 2, gate: openGate } });
    polls = await Promise.all(
      ['/', '/api/v1/upgrade'].map(async (path) => await pollConsole(domain.home, path, domain.token)),
    );
  });
  after(async () => {
    followed?.end();
    await browser?.close();
    await Promise.all((polls ?? []).map(async (poll) => await poll.stop()));
    await domain?.stop();
  });

  async function signIn(): Promise<void> {
    const { code } = await domain.api.call(administratorOperations.inviteFirst, {});
    const { url } = JSON.parse(await readFile(join(domain.home, 'console.json'), 'utf8')) as { url: string };
    await page.goto(`${url}/#code=${code}`);
    await page.getByLabel('Name', { exact: true }).fill('ada');
    await page.getByLabel('Password', { exact: true }).fill('a sentence is fine');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByRole('heading', { name: 'Add the first account' }).waitFor();
    await page.goto(url);
  }

  /** All who ask are answered by it. */
  async function untilServedBy(name: string): Promise<void> {
    await until(`the ${name} answers`, 60_000, async () => polls.every(({ servedBy }) => servedBy.at(-1) === name));
  }

  async function happens(message: string): Promise<void> {
    await recordEvent(domain.sql as never, { kind: 'test', message });
  }

  test('is answered before, over and after the fence, and in reversal', async () => {
    await untilServedBy('administration');
    followed = await followEvents(domain.home);
    await happens('before the fence');
    await signIn();
    await page.getByText(`Release ${thisRelease.release} ·`).waitFor();
    // What the page says while it lasts is waited for from before it can begin.
    const onward = page.getByText(`Installing release ${next}, started by `).waitFor();
    await Promise.all([
      onward,
      domain.api.call(upgradeOperations.start, { body: { overrides: ['backup'] } }),
      untilServedBy('coordinator'),
    ]);
    await happens('behind the fence');
    await untilUpgrade(domain, ['moving', 'soaking']);
    await untilServedBy('administration');
    await page.getByText(`Release ${next} ·`).waitFor();
    // From now on the coordinator has a supervisor that did not start it, and asks that one for the socket.
    const former = domain.supervisor;
    await domain.startSupervisor('--take-over');
    await exitWithin(former, 60_000, 'the former supervisor');
    await happens('between the fences');
    const back = page.getByText(`Going back to release ${thisRelease.release}, `).waitFor();
    await Promise.all([back, domain.api.call(upgradeOperations.reverse, {}), untilServedBy('coordinator')]);
    await happens('behind the fence again');
    await untilUpgrade(domain, ['reversed']);
    await untilServedBy('administration');
    await page.getByText(`Release ${thisRelease.release} ·`).waitFor();
    assert.equal(await page.evaluate('location.pathname'), '/');
    for (const poll of polls) {
      const { failures, servedBy, answers } = await poll.stop();
      assert.deepEqual([...failures], []);
      assert.ok(answers > 100, String(answers));
      assert.deepEqual(
        [...servedBy].filter((by) => by !== 'administration' && by !== 'coordinator'),
        [],
      );
    }
  });

  test('who follows events was told each once, in order, over both fences', async () => {
    await happens('after it all');
    await until('the last is told', 60_000, () => followed.lines().some(({ message }) => message === 'after it all'));
    const told = followed.lines().filter(({ topic }) => topic === 'events');
    const happened = await domain.sql<{ id: number; message: string }[]>`
      select id::int as id, message from event where transaction is not null order by transaction, id`;
    const [from, to] = [told[0], told.at(-1)].map((one) => happened.findIndex(({ id }) => id === one?.event));
    const expected = happened.slice(from, (to ?? 0) + 1);
    assert.deepEqual(
      told.map(({ event }) => event),
      expected.map(({ id }) => id),
    );
    for (const when of ['before the fence', 'behind the fence', 'between the fences', 'behind the fence again'])
      assert.equal(told.filter(({ message }) => message === when).length, 1, when);
  });
});

interface Followed {
  lines(): { topic: string; kind?: string; event?: number; message?: string }[];
  end(): void;
}

/** `bramble events --follow` as a program reads it, which is told of what happens from now on. */
async function followEvents(home: string): Promise<Followed> {
  const child = spawn(
    process.execPath,
    [await workingTreeProgram(), 'events', '--follow', '--json', '--topic', 'events'],
    {
      env: { ...process.env, BRAMBLE_HOME: home },
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const lines = () =>
    output
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line));
  await until('it is live', 60_000, () => lines().some(({ kind }) => kind === 'ready'));
  return { lines, end: () => void child.kill('SIGKILL') };
}
