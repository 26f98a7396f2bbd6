import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { tellConditions } from '../../notices/conditions.ts';
import { startAdministration } from './administration-fixture.ts';
import { certificateLooks } from './certificate-looks.ts';

const admin = await startAdministration();
after(async () => await admin.close());

const dayMs = 86_400_000;
const yearMs = 365 * dayMs;

test('a certificate that ends is told, is told again as the end comes nearer, and once it is renewed', async () => {
  const clock = { at: Date.now(), now: () => clock.at };
  const [domain, home] = certificateLooks(admin.context, clock);
  assert.ok(domain && home);
  const found = async () => (await domain.look()) ?? [];
  assert.deepEqual(await found(), []);
  assert.equal(await domain.look(), null, 'not again within the hour');

  const [authority] = await admin.db<{ name: string }[]>`select name from authority where name = 'domain'`;
  assert.ok(authority);
  const left = async (): Promise<number> => {
    const [condition] = (await found()).filter(({ subject }) => subject === 'domain authority');
    assert.match(condition?.message ?? '', /^the certificate domain authority expires in \d+ days; replace it with/);
    return Math.round(((condition?.again?.getTime() ?? 0) - clock.at) / dayMs);
  };
  const certificate = (await admin.call('GET', '/status')).body as { certificates: { name: string; endsAt: string }[] };
  const endsAt = Date.parse(certificate.certificates.find(({ name }) => name === 'domain authority')?.endsAt ?? '');
  clock.at = endsAt - 2 * yearMs + dayMs;
  assert.equal(await left(), Math.round((2 * 365 - 1) / 4));
  clock.at = endsAt - 2 * dayMs;
  assert.equal(await left(), 1);

  const round = async () => {
    clock.at += 2 * 3_600_000;
    await tellConditions(admin.db, [domain, home], (_look, error) => assert.fail(String(error)));
  };
  const told = async (kind: string) =>
    (await admin.db`select subject from event where kind = ${kind} and subject = 'domain authority'`).length;
  await round();
  await round();
  assert.equal(await told('certificate-ending'), 1);
  clock.at = endsAt - 9 * yearMs;
  await round();
  assert.deepEqual([await told('certificate-ending'), await told('certificate-renewed')], [1, 1]);
});
