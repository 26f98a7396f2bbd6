/**
 * `bench api`: what lists and search of a large domain take at a steady rate, beside a bare Fastify server that answers a page of the
 * same bytes in the same run.
 *
 * Requests are due at fixed times, and are measured from then: a server that falls behind is not waited for. To each one another goes to
 * the bare server half a period later, so that what the machine does meanwhile meets both alike.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { loadavg } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type postgres from 'postgres';
import { type SeededRandom, seededRandom } from '../src/simulator/seeded-random.ts';
import { until } from '../src/testing/condition.ts';
import { workingTreeArchive } from '../test/harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { cpuPerRequest, readProcessCpu } from './process-cpu.ts';

interface Times {
  readonly count: number;
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly most: number;
}

export interface ApiFigures {
  readonly accounts: number;
  readonly devices: number;
  readonly perSecond: number;
  readonly load: number;
  readonly all: Times;
  readonly reference: Times;
  readonly questions: Readonly<Record<string, Times>>;
  /** Microseconds of each process for one request, less what it takes when nobody asks. */
  readonly cpu: Readonly<Record<string, number>>;
  readonly referenceCpu: number;
}

export interface ApiOptions {
  readonly accounts: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly seed: string;
  readonly say: (text: string) => void;
}

const warmUpSeconds = 5;
const idleSeconds = 10;

export async function benchApi(options: ApiOptions): Promise<ApiFigures> {
  const { accounts, say } = options;
  const { file: archive } = await workingTreeArchive();
  const domain = await startDomain({ archive, instances: 2, databaseSettings: {} });
  try {
    await until('the domain is at work', 60_000, () => isAnswering(domain));
    say(`filling a domain with ${accounts} accounts`);
    await fill(domain.sql, accounts);
    return await measure(domain, options);
  } finally {
    await domain.stop();
  }
}

async function measure(
  domain: RunningDomain,
  { accounts, seconds, perSecond, seed, say }: ApiOptions,
): Promise<ApiFigures> {
  const [service] = await domain.sql<{ url: string }[]>`
    select loopback_url as url from component where kind = 'administration' and stopped_at is null`;
  const target = {
    url: `${service?.url}/api/v1`,
    token: domain.token,
    agent: new Agent({ keepAlive: true, maxSockets: 64 }),
  };
  const reference = await startReference((await ask(target, '/accounts?limit=100')).body);
  try {
    const questions = questionsOf(seededRandom(seed), accounts);
    await drive(target, reference, questions, { perSecond, seconds: warmUpSeconds });
    const idle = [
      await readProcessCpu(domain.home),
      await delay(idleSeconds * 1000),
      await readProcessCpu(domain.home),
    ] as const;
    say(`${perSecond} requests a second for ${seconds} s`);
    const before = await readProcessCpu(domain.home);
    const cpuBefore = await reference.cpu();
    const taken = await drive(target, reference, questions, { perSecond, seconds });
    const after = await readProcessCpu(domain.home);
    const requests = perSecond * seconds;
    const idleCpu = cpuPerRequest(idle[0], idle[2], perSecond * idleSeconds);
    const cpu = Object.entries(cpuPerRequest(before, after, requests)).map(
      ([name, us]) => [name, us - (idleCpu[name] ?? 0)] as const,
    );
    const [row] = await domain.sql<{ devices: number }[]>`select count(*)::int as devices from device`;
    return {
      ...{ accounts, devices: row?.devices ?? 0, perSecond, load: loadavg()[0] ?? 0 },
      all: timesOf([...taken.target.values()].flat()),
      reference: timesOf(taken.reference),
      questions: Object.fromEntries([...taken.target].map(([name, times]) => [name, timesOf(times)])),
      cpu: Object.fromEntries(cpu.filter(([name]) => name === 'administration' || name === 'postgresql')),
      referenceCpu: Math.round(((await reference.cpu()) - cpuBefore) / requests),
    };
  } finally {
    reference.end();
    target.agent.destroy();
  }
}

interface Question {
  readonly name: string;
  /** With what the answer before it gave as `next`. */
  readonly path: (next: string | null) => string;
}

/** Each is asked as often as every other. */
function questionsOf(random: SeededRandom, accounts: number): readonly Question[] {
  const pick = (words: readonly string[]) => words[random.integer(words.length)] ?? '';
  const behind = (next: string | null) => (next === null ? '' : `&after=${next}`);
  return [
    { name: 'accounts, page after page', path: (next) => `/accounts?limit=100${behind(next)}` },
    { name: 'accounts of an instance', path: (next) => `/accounts?limit=100&instance=server-1${behind(next)}` },
    { name: 'accounts of a large group', path: (next) => `/accounts?limit=100&group=large${behind(next)}` },
    { name: 'accounts of a middling group', path: (next) => `/accounts?limit=100&group=middling${behind(next)}` },
    { name: 'accounts of a small group', path: () => '/accounts?limit=100&group=small' },
    { name: 'newest accounts', path: (next) => `/accounts?limit=100&sort=-createdAt${behind(next)}` },
    { name: 'devices, page after page', path: (next) => `/devices?limit=100${behind(next)}` },
    {
      name: 'devices of a software',
      path: () => `/devices?limit=100&software=${pick(versions)}`,
    },
    {
      name: 'devices of a model, newest first',
      path: () => `/devices?limit=100&sort=-createdAt&model=${pick(models)}`,
    },
    { name: 'devices of a middling group', path: (next) => `/devices?limit=100&group=middling${behind(next)}` },
    { name: 'devices that are leaving', path: () => '/devices?limit=100&state=leaving' },
    { name: 'devices of an account', path: () => `/devices?account=person-${1 + random.integer(accounts)}` },
    { name: 'search by a letter', path: () => `/search?q=${pick([...'abcdelmps'])}` },
    { name: 'search by a family name', path: () => `/search?q=${pick(families)}` },
    { name: 'search by a serial number', path: () => `/search?q=S${random.integer(90_000) + 10_000}` },
    { name: 'search in vain', path: () => `/search?q=zzz${random.integer(1000)}` },
  ];
}

interface Target {
  readonly url: string;
  readonly token: string;
  readonly agent: Agent;
}

async function drive(
  target: Target,
  reference: Target,
  questions: readonly Question[],
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<{ target: Map<string, number[]>; reference: number[] }> {
  const taken = { target: new Map<string, number[]>(), reference: [] as number[] };
  const next = new Map<string, string | null>();
  const under: Promise<unknown>[] = [];
  const periodMs = 1000 / perSecond;
  const startMs = performance.now();
  for (let number = 0; number < perSecond * seconds; number++) {
    const dueMs = startMs + number * periodMs;
    await delay(Math.max(0, dueMs - performance.now()));
    const question = questions[number % questions.length] as Question;
    under.push(
      ask(target, question.path(next.get(question.name) ?? null)).then(({ body }) => {
        const times = taken.target.get(question.name) ?? [];
        taken.target.set(question.name, [...times, performance.now() - dueMs]);
        next.set(question.name, (JSON.parse(body) as { next: string | null }).next);
      }),
    );
    const otherMs = dueMs + periodMs / 2;
    await delay(Math.max(0, otherMs - performance.now()));
    under.push(ask(reference, '/').then(() => taken.reference.push(performance.now() - otherMs)));
  }
  await Promise.all(under);
  return taken;
}

/** @throws for whatever is not answered with 200 */
async function ask({ url, token, agent }: Target, path: string): Promise<{ body: string }> {
  const request = get(url + path, { agent, headers: { authorization: `Bearer ${token}` } });
  const [response] = await once(request, 'response');
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  if (response.statusCode !== 200)
    throw new Error(`${path} was answered ${response.statusCode}: ${body.slice(0, 500)}`);
  return { body };
}

async function startReference(body: string): Promise<Target & { cpu(): Promise<number>; end(): void }> {
  const child = fork(new URL('./api-reference.ts', import.meta.url), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const { port } = await told<{ port: number }>(child, { body });
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  return {
    ...{ url: `http://127.0.0.1:${port}`, token: 'none', agent },
    cpu: async () => (await told<{ cpu: number }>(child, 'cpu')).cpu,
    end: () => {
      agent.destroy();
      child.disconnect();
    },
  };
}

async function told<Answer>(child: ChildProcess, question: object | string): Promise<Answer> {
  const answered = once(child, 'message');
  child.send(question);
  const [answer] = await answered;
  return answer as Answer;
}

function timesOf(times: readonly number[]): Times {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p95: at(0.95), p99: at(0.99), most: sorted.at(-1) ?? 0 };
}

const firstNames = ['Ada', 'Bea', 'Cleo', 'Dora', 'Emil', 'Lena', 'Max', 'Paul', 'Sara'];
const families = [
  'Lovelace',
  'Hopper',
  'Turing',
  'Noether',
  'Curie',
  'Meitner',
  'Hamilton',
  'Lamarr',
  'Perlman',
  'Sinclair',
];
const models = Array.from({ length: 20 }, (_, n) => `Handheld ${n}`);
const versions = ['18.1', '18.2', '18.3', '26.0', '26.1'];

/** Three devices for two accounts; a group of every second account, of one in fifty, of one in a thousand. */
async function fill(sql: postgres.Sql, accounts: number): Promise<void> {
  await sql`
    with added as (
      insert into account (id, name, display_name, instance_id, created_at)
      select gen_random_uuid(), 'person-' || n, (${firstNames}::text[])[1 + n % 9] || ' ' || (${families}::text[])[1 + (n / 9) % 10],
             (select id from instance where name = 'server-' || (1 + n % 2)), now() - make_interval(secs => n)
        from generate_series(1, ${accounts}::int) n
      returning id, name, instance_id
    ), epochs as (
      insert into account_epoch (account_id, epoch, instance_id) select id, 1, instance_id from added
    ), named as (
      select id, name || '/' || k as name, row_number() over () as n
        from added, generate_series(1, case when right(name, 1) in ('0', '2', '4', '6', '8') then 2 else 1 end) k
    )
    insert into device (id, account_id, token, platform, state, scep_challenge, identity_fingerprint, identity_issued_at,
                        identity_expires_at, udid, serial_number, model, os_version, push_token, push_magic, last_seen_at,
                        created_at, removing_since)
    select gen_random_uuid(), id, encode(sha256(convert_to('t' || name, 'utf8')), 'hex'), 'apple', 'active', '',
           encode(sha256(convert_to('f' || name, 'utf8')), 'hex'), now(), now() + interval '1 year', gen_random_uuid(),
           'S' || (10000 + n % 90000) || n, (${models}::text[])[1 + n % 20], (${versions}::text[])[1 + n % 5],
           sha256(convert_to('p' || name, 'utf8')), name, now(), now() - make_interval(secs => n),
           case when n % 1000 = 0 then now() end from named`;
  await sql`
    with made as (
      insert into account_group (id, name, rank)
      values (gen_random_uuid(), 'large', 1), (gen_random_uuid(), 'middling', 2), (gen_random_uuid(), 'small', 3) returning id, name)
    insert into group_member (group_id, account_id)
    select m.id, a.id from made m, (select id, row_number() over (order by id) as n from account) a
     where a.n % (case m.name when 'large' then 2 when 'middling' then 50 else 1000 end) = 0`;
  await sql`vacuum analyze`;
}

export function describeApi(figures: ApiFigures): string {
  const line = (name: string, { p50, p95, p99, most }: Times) =>
    `  ${name.padEnd(36)}p50 ${p50.toFixed(1)}, p95 ${p95.toFixed(1)}, p99 ${p99.toFixed(1)}, longest ${most.toFixed(0)} ms`;
  const { accounts, devices, perSecond, load, all, reference, questions, cpu, referenceCpu } = figures;
  return [
    `Lists and search with ${accounts} accounts and ${devices} devices, ${perSecond} requests a second; load ${load.toFixed(1)}`,
    line('all', all),
    line('a bare Fastify server', reference),
    ...Object.entries(questions).map(([name, times]) => line(name, times)),
    `  processor time of a request: ${Object.entries(cpu)
      .map(([name, us]) => `${name} ${us} µs`)
      .join(', ')}; of the bare server ${referenceCpu} µs`,
  ].join('\n');
}
