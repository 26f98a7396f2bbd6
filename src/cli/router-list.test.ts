/** `bramble router list`, `bramble host list`: what is not as devices and operators expect it is said there. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { registerTestRouter, startAdministration } from '../processes/administration/administration-fixture.ts';
import { runBramble } from './command-line-fixture.ts';

const admin = await startAdministration();
after(async () => await admin.close());

test('a router at another port than devices know is named with what to do', async () => {
  const configuration = { database: { url: admin.databaseUrl }, host: 'test-host', publicPort: 443, srpPort: 3101 };
  await writeFile(join(admin.home, 'config.json'), JSON.stringify(configuration));
  await admin.db`delete from router`;
  await admin.db`
    insert into router (name, host, link_host, server_name, srp_port, public_port)
    values ('router-1', 'test-host', '10.0.0.1', 'srp', 3101, null), ('router-2', 'munich', '10.0.0.2', 'srp', 3101, 45973)`;
  await admin.db`update domain set public_url = 'https://mdm.example.org'`;
  await registerTestRouter(admin.db, 'router-1');
  const { output } = await runBramble(admin, ['router', 'list']);
  assert.match(output, /^router-1 +\S+ +10\.0\.0\.1:3101 +443 +at work$/m);
  assert.match(output, /^router-2 .* 45973 +away$/m);
  assert.match(
    output,
    /\nDevices know https:\/\/mdm\.example\.org alone, and router-2 listens on port 45973\. .* to 443 in config\.json of munich/,
  );
  assert.equal(output.match(/Devices know/g)?.length, 1);
});

test('a host that joined and was never started is told from one that is silent', async () => {
  await admin.db`insert into host (name, public_key, administers) values ('munich', '', false), ('hamburg', '', false)`;
  await admin.db`
    insert into supervisor (host, release, process_id, node_version, postgres_server, seen_at)
    values ('hamburg', '1.4.0', 1, '', '', now() - interval '1 hour')`;
  const { output } = await runBramble(admin, ['host', 'list']);
  assert.match(output, /^munich +joined, not started /m);
  assert.match(output, /^hamburg +silent /m);
});
