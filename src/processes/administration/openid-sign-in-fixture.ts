/** For tests: an administration service whose domain has an OpenID provider, and people who sign in there. */
import assert from 'node:assert/strict';
import { after } from 'node:test';
import { type BrowserSession, openBrowser } from '../../testing/browser-session.ts';
import { type AdministrationFixture, startAdministration } from './administration-fixture.ts';
import { clientSecret, type OpenidProvider, startOpenidProvider } from './openid-provider-fixture.ts';

interface OpenidDomain {
  admin: AdministrationFixture;
  provider: OpenidProvider;
  /** Changes the domain's settings of the provider. */
  change(body: object): Promise<void>;
  /** In a browser of which the provider sends back the person, up to the address that it is sent to. */
  visit(browser: BrowserSession, body?: object): Promise<string>;
  /** And to the end. */
  signIn(browser: BrowserSession, body?: object): ReturnType<BrowserSession['call']>;
  /** Who comes next. */
  person(sub: string, groups: readonly string[], more?: object): void;
}

export const rules = [
  { value: 'admins', role: 'security', groups: null },
  { value: 'office', role: 'enterprise', groups: null },
  { value: 'desk', role: 'junior-helpdesk', groups: ['crew'] },
];

/** Closed at the end of the test file. The provider is known as `staff`. */
export async function startOpenidDomain(): Promise<OpenidDomain> {
  const admin = await startAdministration();
  after(async () => await admin.close());
  const provider = await startOpenidProvider(['staff', 'other'].map((name) => `${admin.url}/sign-in/openid/${name}`));
  assert.equal((await admin.call('POST', '/groups', { name: 'crew', rank: 51 })).status, 201);
  const { issuer, caPem } = provider;
  const settings = { name: 'staff', title: 'Staff', issuer, clientId: 'bramble', secret: clientSecret, caPem, rules };
  const added = await admin.call('POST', '/openid-providers', settings);
  assert.equal(added.status, 201, JSON.stringify(added.body));
  const visit = async (browser: BrowserSession, body: object = {}) => {
    const { status, body: begun } = await browser.call('POST', '/sign-in/openid', { provider: 'staff', ...body });
    assert.equal(status, 200, JSON.stringify(begun));
    return await provider.visit((begun as { url: string }).url);
  };
  return {
    ...{ admin, provider, visit },
    change: async (body) => {
      const { status, body: answer } = await admin.call('PATCH', '/openid-providers/staff', body);
      assert.equal(status, 200, JSON.stringify(answer));
    },
    signIn: async (browser, body) =>
      await browser.call('POST', '/sign-in/openid/return', { url: await visit(browser, body) }),
    person: (sub, groups, more = {}) => {
      provider.person = { sub, claims: { preferred_username: sub, groups, ...more } };
    },
  };
}

export const newBrowser = ({ admin }: OpenidDomain) => openBrowser(admin.url);
