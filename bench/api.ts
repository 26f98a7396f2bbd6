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
import { type SeededRandom, seededRandom } from '../src/simulator/seeded-random.ts';
import { until } from '../src/testing/condition.ts';
import { workingTreeArchive } from '../test/harness/archives.ts';
import { isAnswering, type RunningDomain, startDomain } from '../test/harness/domain.ts';
import { addAccounts, families, models, versions } from './large-tables.ts';
import { administrationUrl } from './measured-domain.ts';
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
    await addAccounts(domain.sql, accounts);
    await domain.sql`vacuum analyze`;
    return await measure(domain, options);
  } finally {
    await domain.stop();
  }
}

async function measure(
  domain: RunningDomain,
  { accounts, seconds, perSecond, seed, say }: ApiOptions,
): Promise<ApiFigures> {
  const target = {
    url: `${await administrationUrl(domain)}/api/v1`,
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
      path: () => `/devices?limit=100&sort=-createdAt&model=${encodeURIComponent(pick(models))}`,
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
    // A timer may be early by a part of a millisecond.
    const fromMs = Math.min(dueMs, performance.now());
    const question = questions[number % questions.length] as Question;
    under.push(
      ask(target, question.path(next.get(question.name) ?? null)).then(({ body }) => {
        const times = taken.target.get(question.name) ?? [];
        taken.target.set(question.name, times);
        times.push(performance.now() - fromMs);
        next.set(question.name, (JSON.parse(body) as { next: string | null }).next);
      }),
    );
    const otherMs = dueMs + periodMs / 2;
    await delay(Math.max(0, otherMs - performance.now()));
    const otherFromMs = Math.min(otherMs, performance.now());
    under.push(ask(reference, '/').then(() => taken.reference.push(performance.now() - otherFromMs)));
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
