/** The domain at a glance: what needs attention first, then figures, then what runs. */
import { lazy, Suspense } from 'react';
import type { ComponentView } from '../../api/components.ts';
import { type DomainStatus, domainOperations, type InstanceStatus } from '../../api/domain.ts';
import { compareReleases } from '../../base/release-number.ts';
import { useAnswer } from '../live/answers.ts';
import { useStream } from '../live/stream.ts';
import { Badge, Card, CopyText, Failure, type Tone, Waiting } from '../parts/controls.tsx';
import { Icon, isIcon } from '../parts/icon.tsx';
import { Ago, clockText, Moment } from '../parts/times.tsx';
import { type Concern, concernsOf, kindText } from './attention.ts';

/** Loaded when the figures above are there. */
const Charts = lazy(async () => await import('./charts.tsx'));

/** What a change is told of that the status counts. */
const statusTopics = ['components', 'deliveries', 'devices', 'accounts', 'moves', 'upgrade'];

export function Overview() {
  const status = useAnswer(domainOperations.status, {}, { topics: statusTopics, everyMs: 5000 });
  if (status.value === undefined) return status.error === null ? <Waiting /> : <Failure error={status.error} />;
  const { domain, instances } = status.value;
  const accounts = sum(instances, ({ accountCount }) => accountCount);
  return (
    <>
      <header className="page-head">
        <div>
          <h1>{domain.name}</h1>
          <p>
            Release {domain.release} · devices connect to {domain.publicUrl}
          </p>
        </div>
        <Live since={status.at} />
      </header>
      <div className={`overview ${status.error === null ? '' : 'stale'}`}>
        <Attention concerns={concernsOf(status.value)} />
        <div className="tiles">
          <section className="card tile">
            <h2>Accounts</h2>
            <p className="figure">{accounts.toLocaleString('en')}</p>
            <p className="small soft">on {countOf(instances.length, 'server instance')}</p>
          </section>
          <Devices status={status.value} />
          <Deliveries status={status.value} />
        </div>
        <Suspense fallback={<Waiting />}>
          <Charts />
        </Suspense>
        <Components status={status.value} />
        <RecentEvents />
      </div>
    </>
  );
}

/** Whether changes are shown as they happen, or only when they are asked for. */
function Live({ since }: { since: number }) {
  const { state } = useStream();
  if (state === 'live') return <Badge tone="good">Live</Badge>;
  return (
    <Badge tone={state === 'connecting' ? 'quiet' : 'warn'}>
      {state === 'connecting' ? 'Connecting' : `As of ${clockText(since)}`}
    </Badge>
  );
}

function Attention({ concerns }: { concerns: readonly Concern[] }) {
  if (concerns.length === 0) {
    return (
      <section className="card all-well" aria-label="What needs attention">
        <Icon name="good" size={24} />
        <p>
          <strong>Nothing needs your attention.</strong> <span className="soft">All components are at work.</span>
        </p>
      </section>
    );
  }
  return (
    <Card title="Needs attention" aside={<p>{countOf(concerns.length, 'matter')}, the worst first</p>}>
      <ul className="attention">
        {concerns.map(({ key, tone, title, reason, since, command }) => (
          <li key={key} data-tone={tone}>
            <Icon name={tone} />
            <div>
              <strong>{title}</strong>
              {since !== null && (
                <span className="quiet small">
                  {' '}
                  · <Ago at={since} />
                </span>
              )}
              <p className="soft">{reason}</p>
              {command !== null && <CopyText text={command} what="the command" />}
            </div>
          </li>
        ))}
      </ul>
    </Card>
  );
}

/** Where each state stands in the order of a device's life, and how it looks. */
const deviceStates = [
  { state: 'active', colour: '--good' },
  { state: 'offered', colour: '--series-2' },
  { state: 'certified', colour: '--series-2' },
  { state: 'authenticated', colour: '--series-2' },
  { state: 'leaving', colour: '--series-3' },
  { state: 'suspended', colour: '--series-4' },
];

function Devices({ status }: { status: DomainStatus }) {
  const known = deviceStates.flatMap(({ state, colour }) =>
    status.deviceStates.filter((counted) => counted.state === state).map(({ count }) => ({ state, colour, count })),
  );
  const others = status.deviceStates
    .filter(({ state }) => !deviceStates.some((one) => one.state === state))
    .map((one) => ({ ...one, colour: '--ink-faint' }));
  const shares = [...known, ...others];
  const total = sum(shares, ({ count }) => count);
  return (
    <section className="card tile" aria-label="Devices">
      <h2>Devices</h2>
      <p className="figure">{total.toLocaleString('en')}</p>
      {total === 0 ? (
        <p className="small soft">None has enrolled yet.</p>
      ) : (
        <>
          <div className="shares" aria-hidden="true">
            {shares.map(({ state, colour, count }) => (
              <span key={state} style={{ background: `var(${colour})`, flexGrow: count }} />
            ))}
          </div>
          <ul className="legend">
            {shares.map(({ state, colour, count }) => (
              <li key={state}>
                <span className="swatch" style={{ background: `var(${colour})` }} />
                {state} <b>{count.toLocaleString('en')}</b>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

function Deliveries({ status }: { status: DomainStatus }) {
  const { inFlight, budget, suspects } = status.deliveries;
  const owed = sum(status.instances, ({ deliveries }) => deliveries.owed + deliveries.released);
  const share = Math.min(100, (inFlight / budget.perDomain) * 100);
  const hold = status.instances.find((instance) => instance.hold !== null && instance.hold.reason !== 'nothing')?.hold;
  return (
    <section className="card tile" aria-label="Deliveries">
      <h2>Deliveries in flight</h2>
      <p className="figure">
        {inFlight} <small>of {budget.perDomain}</small>
      </p>
      <div className="meter" data-tone={share >= 100 ? 'warn' : undefined}>
        <span style={{ width: `${share}%` }} />
      </div>
      <p className="small soft">
        {owed.toLocaleString('en')} waiting, {suspects} of {budget.suspects} suspects
        {hold == null || owed === 0 ? '' : `. They wait for: ${hold.text}`}
      </p>
    </section>
  );
}

function Components({ status }: { status: DomainStatus }) {
  const present = status.components.filter(({ stoppedAt }) => stoppedAt === null);
  const releases = [...new Set(present.map(({ release }) => release))].sort((a, b) => compareReleases(b, a));
  return (
    <Card
      title="Components"
      aside={<p>{releases.length > 1 ? `${releases.length} releases side by side` : 'all of one release'}</p>}
    >
      {releases.map((release) => {
        const ofRelease = present.filter((component) => component.release === release);
        return (
          <section className="release" key={release} aria-label={`Release ${release}`}>
            <h3>
              {release} <span className="quiet small">{countOf(ofRelease.length, 'component')}</span>
            </h3>
            <ul className="processes">
              {ofRelease.map((component) => (
                <Process
                  key={component.name}
                  component={component}
                  instance={status.instances.find(({ name }) => component.kind === 'server' && name === component.name)}
                />
              ))}
            </ul>
          </section>
        );
      })}
    </Card>
  );
}

function Process({ component, instance }: { component: ComponentView; instance: InstanceStatus | undefined }) {
  const { name, kind, host, alive, startedAt } = component;
  const [tone, word]: [Tone, string] = !alive
    ? ['bad', 'gone']
    : instance !== undefined && instance.links.length === 0
      ? ['bad', 'no link']
      : ['good', 'at work'];
  return (
    <li className="process">
      <Icon name={isIcon(kind) ? kind : 'server'} />
      <strong title={name}>{name}</strong>
      <Badge tone={tone}>{word}</Badge>
      <p>
        {kindText(kind)} on {host}, started <Ago at={startedAt} />
      </p>
      {instance !== undefined && (
        <p>
          {countOf(instance.accountCount, 'account')}, {countOf(instance.deviceCount, 'device')},{' '}
          {instance.links.length === 0
            ? 'no link'
            : `linked to ${instance.links.map(({ router }) => router).join(', ')}`}
        </p>
      )}
    </li>
  );
}

function RecentEvents() {
  const { value, error } = useAnswer(domainOperations.listEvents, { query: { limit: 12 } }, { topics: ['events'] });
  return (
    <Card title="What happened" aside={<p>The newest first</p>}>
      <Failure error={value === undefined ? error : null} />
      {value?.events.length === 0 && <p className="soft">Nothing yet.</p>}
      <ol className="events">
        {value?.events.map(({ id, at, kind, message }) => (
          <li key={id}>
            <Moment at={at} />
            <div>
              {message} <span className="quiet small">{kind}</span>
            </div>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}

function countOf(count: number, one: string): string {
  return `${count.toLocaleString('en')} ${count === 1 ? one : `${one}s`}`;
}
