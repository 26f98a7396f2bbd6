/** The command line beside an administration service of 1.1.0, which answers less, and refuses less. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { thisRelease } from '../release/this-release.ts';
import { runBramble } from './command-line-fixture.ts';
import { exitCode } from './exit-codes.ts';

const limited = { timeout: 60_000 };
const home = await mkdtemp(join(tmpdir(), 'bramble-earlier-'));
const sealed = fileURLToPath(new URL('../../releases/bramble-1.1.0.tgz', import.meta.url));
/** The upgrade as 1.1.0 reports it: what its coordinator said before the start stands there still. */
let upgrade: object | undefined;
const asked: string[] = [];

const plan = {
  options: {},
  instances: [],
  waves: [{ number: 1, name: 'canary', accounts: 1, leastRequests: 6 }],
  needs: { processes: 4, memoryMb: 300, srpCredentials: 4, listeningPorts: 0, computers: [] },
  sends: { itPolicies: 1, serviceBooks: 1, synchronizations: 1, leastMinutes: 1 },
  lockedFeatures: [],
  losses: [],
  notes: [],
};
const planned = {
  id: '0c1d9a52-8a55-4a8e-9d3c-7c7d2f7f5678',
  release: { from: '1.1.0', to: '1.2.0' },
  ...{ fromRelease: '1.1.0', toRelease: '1.2.0' },
  state: 'planned',
  pausedFrom: null,
  position: 'planned',
  pauseReason: null,
  waitingFor: '`bramble upgrade start --override backup`, since the checks stopped the last start: backup',
  coordinator: { holder: null, atWork: false },
  createdAt: '2026-11-01T10:00:00.000Z',
  finishedAt: null,
  seconds: 60.5,
  plan,
  newInstances: [],
  accounts: { moved: 0, reversed: 0, failed: 0, atOldRelease: 1 },
  ...{ waves: [], deliveries: [], heldBack: [], features: [], events: [] },
  phases: [{ state: 'planned', at: '2026-11-01T10:00:00.000Z', seconds: 60.5 }],
};

/** What 1.1.0 says over HTTP to these requests. */
const server = createServer(async (request, response) => {
  let text = '';
  for await (const piece of request) text += String(piece);
  const operation = `${request.method} ${(request.url ?? '').replace('/api/v1', '')}`;
  asked.push(operation);
  const reply = (status: number, value: object): void => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };
  const refuse = (code: string, message: string): void => reply(404, { code, message, details: {} });
  if (operation === 'GET /healthz') reply(200, {});
  else if (operation === 'GET /openapi.json') reply(200, { openapi: '3.1.0', info: { title: 'x', version: '1.1.0' } });
  else if (operation.includes('/accounts/nobody')) refuse('ERR_NOT_FOUND', 'There is no account "nobody".');
  else if (operation === 'GET /upgrade' && upgrade === undefined) refuse('ERR_UPGRADE_NONE', 'No upgrade.');
  else if (operation === 'GET /upgrade' || operation === 'POST /upgrade/start') reply(200, upgrade ?? planned);
  else if (operation === 'POST /upgrade/plan' && text.includes('windows')) {
    const message = 'windows is not known here; known are canaries, wavePercentages, oldInstances';
    reply(400, { code: 'ERR_INPUT', message, details: { field: 'body.windows' } });
  } else if (operation === 'POST /upgrade/plan') reply(200, planned);
  else
    refuse(
      'ERR_NOT_FOUND',
      `There is nothing at ${request.method} ${request.url}. GET /api/v1/openapi.json lists what there is.`,
    );
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
after(async () => {
  server.close();
  await rm(home, { recursive: true });
});
const bramble = async (...argv: string[]) => await runBramble({ url, token: 'secret', home }, argv);

test('an operation that the release before does not have is said with that release', limited, async () => {
  const own = thisRelease.release;
  for (const [argv, operation] of [
    [['audit', 'list'], 'GET /audit'],
    [['audit', 'export'], 'GET /audit/export'],
    [['device', 'requeue', '--silent'], ''],
  ] as const) {
    const { code, errors } = await bramble(...argv);
    assert.equal(code, exitCode.notFound, errors);
    assert.ok(
      errors.startsWith(`error: The administration service at ${url} is of 1.1.0, which has no ${operation}`),
      errors,
    );
    assert.ok(errors.includes(`this \`bramble\` is of ${own}. Try again once the domain runs ${own}: `), errors);
    assert.match(
      errors,
      /`bramble upgrade plan 1\.2\.0 --archive FILE` begins the first of the upgrades there: 1\.2\.0, 1\.3\.0, /,
    );
  }
  const missing = await bramble('account', 'delete', 'nobody', '--yes');
  assert.match(missing.errors, /^error: There is no account "nobody"\. \(ERR_NOT_FOUND\)/);
});

test('a plan that 1.1 would take amiss is refused before it is sent', limited, async () => {
  const refused = async (why: RegExp, ...argv: string[]) => {
    asked.length = 0;
    const { errors, output } = await bramble('upgrade', 'plan', ...argv);
    assert.match(errors, why);
    assert.deepEqual([output, asked.filter((operation) => operation.startsWith('POST'))], ['', []]);
  };
  upgrade = undefined;
  await refused(
    /bramble-1\.1\.0\.tgz is the archive of release 1\.1\.0, but 9\.9\.9 is to be planned.*ERR_INPUT/,
    '9.9.9',
    '--archive',
    sealed,
  );
  upgrade = planned;
  await refused(/An upgrade to 1\.2\.0 has been planned since 2026-11-01 10:00 UTC.*ERR_UPGRADE_OPEN/, '1.2.0');
  const replaced = await bramble('upgrade', 'plan', '1.2.0', '--replace');
  assert.deepEqual([replaced.code, replaced.errors], [exitCode.ok, '']);
  assert.match(
    replaced.output,
    /^Upgrade 1\.1\.0 → 1\.2\.0\n[\s\S]*\nThe plan is saved\. Next: `bramble upgrade start`/,
  );
  upgrade = undefined;
  // Which only the host of the service has.
  await writeFile(join(home, 'other.tgz'), 'no archive');
  for (const archive of [join(home, 'other.tgz'), join(home, 'none.tgz')])
    assert.equal((await bramble('upgrade', 'plan', '1.2.0', '--archive', archive)).code, exitCode.ok);
});

test('an option that the release before does not have is named with that release', limited, async () => {
  const { errors } = await bramble('upgrade', 'plan', '1.2.0', '--window', '22:00-04:00');
  const said =
    /^error: --window .*is unknown to the administration service, which is of 1\.1\.0\. Leave it out, and set it /;
  assert.match(errors, said);
});

test('a start says that the checks run, not what was waited for before it', limited, async () => {
  upgrade = planned;
  const { output } = await bramble('upgrade', 'start');
  assert.match(
    output,
    /^upgrade +1\.1\.0 → 1\.2\.0\nstate +started; the checks run first\nnext +watch it with `bramble upgrade status`\n$/,
  );
  upgrade = { ...planned, state: 'moving', position: 'moving', waitingFor: null };
  assert.match((await bramble('upgrade', 'start')).output, /state +moving/);
});
