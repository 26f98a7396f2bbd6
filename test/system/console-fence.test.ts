/**
 * One origin over the release fence, forward and back: who asks at the console's address is answered all the time, by the
 * administration service or, while none is at work, by the coordinator, and sees no connection refused. A page that is open all the
 * while says who upgrades, and goes on with the next release's own page.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { administratorOperations } from '../../src/api/administrators.ts';
import { upgradeOperations } from '../../src/api/upgrade.ts';
import { thisRelease } from '../../src/release/this-release.ts';
import { type Browser, type Page, startBrowser } from '../../src/testing/browser.ts';
import { until } from '../../src/testing/condition.ts';
import { nextArchive, sharedFolderVariable, workingTreeArchive } from '../harness/archives.ts';
import { type ConsolePoll, pollConsole } from '../harness/console-poll.ts';
import { type RunningDomain, startDomain } from '../harness/domain.ts';
import { openGate, untilUpgrade } from '../harness/upgrade.ts';

describe('the console’s origin', { timeout: 400_000 }, () => {
  let domain: RunningDomain;
  let polls: ConsolePoll[];
  let browser: Browser;
  let page: Page;
  let next: string;

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

  test('is answered before, over and after the fence, and in reversal', async () => {
    await untilServedBy('administration');
    await signIn();
    await page.getByText(`Release ${thisRelease.release} ·`).waitFor();
    // What the page says while it lasts is waited for from before it can begin.
    const onward = page.getByText(`Installing release ${next}, started by `).waitFor();
    await Promise.all([
      onward,
      domain.api.call(upgradeOperations.start, { body: { overrides: ['backup'] } }),
      untilServedBy('coordinator'),
    ]);
    await untilUpgrade(domain, ['moving', 'soaking']);
    await untilServedBy('administration');
    await page.getByText(`Release ${next} ·`).waitFor();
    const back = page.getByText(`Going back to release ${thisRelease.release}, `).waitFor();
    await Promise.all([back, domain.api.call(upgradeOperations.reverse, {}), untilServedBy('coordinator')]);
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
});
