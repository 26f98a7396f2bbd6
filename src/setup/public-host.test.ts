import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { hostInUrl, publicHostOf } from './public-host.ts';

test('names and addresses have one spelling', () => {
  for (const [typed, host, inUrl = host] of [
    [' MDM.Example.org ', 'mdm.example.org'],
    ['localhost', 'localhost'],
    ['xn--mnchen-3ya.example', 'xn--mnchen-3ya.example'],
    ['192.0.2.7', '192.0.2.7'],
    ['2001:DB8::7', '2001:db8::7', '[2001:db8::7]'],
    ['[2001:db8::7]', '2001:db8::7', '[2001:db8::7]'],
  ] as const) {
    assert.equal(publicHostOf(typed), host);
    assert.equal(hostInUrl(host), inUrl);
  }
});

test('what no device could connect to is refused with the reason', () => {
  for (const [typed, why] of [
    ['', /letters, digits and hyphens/],
    ['https://mdm.example.org', /without https/],
    ['mdm.example.org:8443', /port is set separately/],
    ['[2001:db8::7]:8443', /port is set separately/],
    ['[192.0.2.7]', /letters, digits and hyphens|four numbers/],
    ['192.0.2', /four numbers/],
    ['127.1', /four numbers/],
    ['0x7f.0.0.1', /four numbers/],
    ['999.1.1.1', /four numbers/],
    ['mdm_1.example.org', /letters, digits and hyphens/],
    ['mdm..example.org', /letters, digits and hyphens/],
    ['mdm.example.org.', /letters, digits and hyphens/],
    ['*.example.org', /letters, digits and hyphens/],
    ['two words', /letters, digits and hyphens/],
    ['münchen.example', /ASCII form/],
    ['0.0.0.0', /no device can connect/],
    ['::', /no device can connect/],
    ['fe80::1%eth0', /no device can connect/],
    [`${'a'.repeat(64)}.example`, /letters, digits and hyphens/],
  ] as const) {
    assert.throws(() => publicHostOf(typed), { code: 'ERR_PUBLIC_HOST', message: why }, typed);
  }
});

test('what is accepted makes a URL that names exactly this host', () => {
  const typed = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6(), fc.string());
  fc.assert(
    fc.property(typed, (text) => {
      let host: string;
      try {
        host = publicHostOf(text);
      } catch {
        return;
      }
      const url = new URL(`https://${hostInUrl(host)}:8443`);
      assert.equal(url.port, '8443');
      if (!host.includes(':')) assert.equal(url.hostname, host);
      assert.equal(url.pathname, '/');
    }),
  );
});
