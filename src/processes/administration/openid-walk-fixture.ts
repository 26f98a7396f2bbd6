/** For the walk of all operations: those of OpenID, at a real provider. */
import assert from 'node:assert/strict';
import { openBrowser } from '../../testing/browser-session.ts';
import type { AdministrationFixture } from './administration-fixture.ts';
import { clientSecret, startOpenidProvider } from './openid-provider-fixture.ts';

interface Walk {
  admin: AdministrationFixture;
  /** Operations that were carried out. */
  walked: Set<string>;
  call(operation: string, path: string, body?: unknown): Promise<unknown>;
  /** Notes what must stand nowhere. */
  secret(text: string | undefined): string;
}

export async function walkOpenid({ admin, walked, call, secret }: Walk): Promise<void> {
  const provider = await startOpenidProvider([`${admin.url}/sign-in/openid/staff`]);
  const { issuer, caPem } = provider;
  const rules = [{ value: 'staff', role: 'user-only', groups: null }];
  const settings = { name: 'staff', issuer, caPem, clientId: 'bramble', secret: secret(clientSecret), rules };
  await call('POST /openid-providers', '/openid-providers', settings);
  await call('PATCH /openid-providers/{name}', '/openid-providers/staff', { title: 'Staff' });
  await call('POST /openid-providers/{name}/test', '/openid-providers/staff/test');
  provider.person = { sub: 'edith', claims: { preferred_username: 'edith', groups: ['staff'] } };
  const browser = openBrowser(admin.url);
  const begun = (await browser.call('POST', '/sign-in/openid', { provider: 'staff' })).body as { url: string };
  const url = await provider.visit(begun.url);
  secret(new URL(url).searchParams.get('code') ?? undefined);
  walked.add('POST /sign-in/openid/return');
  const { status, body } = await browser.call('POST', '/sign-in/openid/return', { url });
  assert.equal(status, 200, JSON.stringify(body));
  for (const [name, value] of browser.cookies) if (name.endsWith('-session')) secret(value);
  await call('DELETE /openid-providers/{name}', '/openid-providers/staff');
}
