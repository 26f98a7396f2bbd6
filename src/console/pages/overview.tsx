/** The domain at a glance: what needs attention first, then figures, then what runs. */
import { lazy, Suspense } from 'react';
import type { ComponentView } from '../../api/components.ts';
import { type DomainStatus, domainOperations, type InstanceStatus } from '../../api/domain.ts';
import { compareReleases } from '../../base/release-number.ts';
import { useAnswer } from '../live/answers.ts';
import { useStream } from '../live/stream.ts';
import { kindText, overviewWords as say } from '../messages/overview.ts';
import { words } from '../messages/words.ts';
import { Badge, Card, CopyText, type Tone, Unanswered, Waiting } from '../parts/controls.tsx';
import { Icon, isIcon } from '../parts/icon.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { Prose } from '../parts/prose.tsx';
import { Ago, clockText, Moment } from '../parts/times.tsx';
import { useRight } from '../session.ts';
import { type Concern, concernsOf } from './attention.ts';

/** Loaded when the figures above are there. */
const Charts = lazy(async () => await import('./charts.tsx'));

/** What a change is told of that the status counts. */
const statusTopics = ['components', 'deliveries', 'devices', 'accounts', 'moves', 'upgrade'];

export function Overview() {
  const maySeeFigures = useRight('figures.read');
  const status = useAnswer(domainOperations.status, {}, { topics: statusTopics, everyMs: 5000 });
  if (status.value === undefined) return <Unanswered error={status.error} />;
  const { domain, instances, groups } = status.value;
  const accounts = sum(instances, ({ accountCount }) => accountCount);
  return (
    <>
      <PageHead title={domain.name} lead={say.lead(domain.release, domain.publicUrl, groups)}>
        <Live since={status.at} />
      </PageHead>
      <div className={`overview ${status.error === null ? '' : 'stale'}`}>
        <Attention concerns={concernsOf(status.value)} seesAll={groups === null} />
        <div className="tiles">
          <section className="card tile">
            <h2>{say.accounts}</h2>
            <p className="figure">{accounts.toLocaleString('en')}</p>
            <p className="small soft">{say.onInstances(instances.length)}</p>
          </section>
          <Devices status={status.value} />
          <Deliveries status={status.value} />
        </div>
        {maySeeFigures && (
          <Suspense fallback={<Waiting />}>
            <Charts />
          </Suspense>
        )}
        {groups === null && <Components status={status.value} />}
        <RecentEvents />
      </div>
    </>
  );
}

/** Whether changes are shown as they happen, or only when they are asked for. */
function Live({ since }: { since: number }) {
  const { state } = useStream();
  if (state === 'live') return <Badge tone="good">{say.live}</Badge>;
  return (
    <Badge tone={state === 'connecting' ? 'quiet' : 'warn'}>
      {state === 'connecting' ? say.connecting : say.asOf(clockText(since))}
    </Badge>
  );
}

function Attention({ concerns, seesAll }: { concerns: readonly Concern[]; seesAll: boolean }) {
  if (concerns.length === 0) {
    return (
      <section className="card all-well" aria-label={say.attentionLabel}>
        <Icon name="good" size={24} />
        <p>
          <Prose text={seesAll ? say.allWell : say.allWellOfGroups} />
        </p>
      </section>
    );
  }
  return (
    <Card title={say.attention} aside={concerns.length > 1 && <p>{say.worstFirst(concerns.length)}</p>}>
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
              {command !== null && <CopyText text={command} what={words.theCommand} />}
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
    <section className="card tile" aria-label={say.devices}>
      <h2>{say.devices}</h2>
      <p className="figure">{total.toLocaleString('en')}</p>
      {total === 0 ? (
        <p className="small soft">{say.noDevices}</p>
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
    <section className="card tile" aria-label={say.deliveries}>
      <h2>{say.deliveries}</h2>
      <p className="figure">
        {inFlight} <small>{say.ofBudget(budget.perDomain)}</small>
      </p>
      <div className="meter" data-tone={share >= 100 ? 'warn' : undefined}>
        <span style={{ width: `${share}%` }} />
      </div>
      <p className="small soft">
        {say.waiting(owed, suspects, budget.suspects, owed === 0 ? null : (hold?.text ?? null))}
      </p>
    </section>
  );
}

function Components({ status }: { status: DomainStatus }) {
  const present = status.components.filter(({ stoppedAt }) => stoppedAt === null);
  const releases = [...new Set(present.map(({ release }) => release))].sort((a, b) => compareReleases(b, a));
  return (
    <Card
      title={say.components}
      aside={releases.length > 0 && <p>{releases.length > 1 ? say.sideBySide(releases.length) : say.oneRelease}</p>}
    >
      {releases.length === 0 && <p className="soft">{say.noComponents}</p>}
      {releases.map((release) => {
        const ofRelease = present.filter((component) => component.release === release);
        return (
          <section className="release" key={release} aria-label={say.release(release)}>
            <h3>
              {release} <span className="quiet small">{say.componentCount(ofRelease.length)}</span>
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
    ? ['bad', say.gone]
    : instance !== undefined && instance.links.length === 0
      ? ['bad', say.noLink]
      : ['good', say.running];
  return (
    <li className="process">
      <Icon name={isIcon(kind) ? kind : 'server'} />
      <strong>{name}</strong>
      <Badge tone={tone}>{word}</Badge>
      <p>
        {say.place(kindText(kind), host)}
        <Ago at={startedAt} />
      </p>
      {instance !== undefined && (
        <p>
          {say.serves(
            instance.accountCount,
            instance.deviceCount,
            instance.links.map(({ router }) => router),
          )}
        </p>
      )}
    </li>
  );
}

function RecentEvents() {
  const { value, error } = useAnswer(domainOperations.listEvents, { query: { limit: 12 } }, { topics: ['events'] });
  return (
    <Card title={say.events}>
      {value === undefined && <Unanswered error={error} />}
      {value?.events.length === 0 && <p className="soft">{say.noEvents}</p>}
      <ol className="events">
        {value?.events.map(({ id, at, message }) => (
          <li key={id}>
            <Moment at={at} />
            <p>{message}</p>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function sum<Item>(items: readonly Item[], of: (item: Item) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
