import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { configurationSchema, readConfiguration } from './configuration.ts';

test('a folder without a domain is told from one whose configuration is damaged', async (t) => {
  const home = await mkdtemp(join(tmpdir(), 'bramble-home-'));
  t.after(() => rm(home, { recursive: true, force: true }));
  const refused = (message: RegExp) => assert.rejects(readConfiguration(home), { code: 'ERR_CONFIGURATION', message });
  await refused(/^There is no domain in .*BRAMBLE_HOME.*`bramble domain create`/);
  await writeFile(join(home, 'config.json'), '{');
  await refused(/config\.json cannot be read \(/);
});

test('without a certificate the console listens on loopback alone', () => {
  const base = { database: { url: 'postgres://db/bramble' }, host: 'here', publicPort: 8443, srpPort: 3101 };
  const listens = (console: object) => configurationSchema.safeParse({ ...base, console }).success;
  for (const listen of ['127.0.0.1', '127.8.0.1', '::1']) assert.ok(listens({ listen }), listen);
  for (const listen of ['0.0.0.0', '::', '192.0.2.7', '2001:db8::1', '::ffff:192.0.2.7']) {
    assert.ok(!listens({ listen }), listen);
    assert.ok(!listens({ listen, certificate: 'console.pem' }), 'half of what it takes');
    assert.ok(listens({ listen, certificate: 'console.pem', key: 'console.key' }), listen);
  }
});
