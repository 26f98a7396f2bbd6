/** Who changed what: filters are in the address, entries open for what was there before and after. */
import { useEffect, useRef, useState } from 'react';
import { type AuditEntryView, auditOperations } from '../../api/audit.ts';
import { useAnswer } from '../live/answers.ts';
import { ask } from '../live/contact.ts';
import { auditWords as say } from '../messages/audit.ts';
import { words } from '../messages/words.ts';
import { Badge, Button, Card, Failure, Field, Notice, Unanswered } from '../parts/controls.tsx';
import { Icon } from '../parts/icon.tsx';
import { PageHead } from '../parts/page-head.tsx';
import { Prose } from '../parts/prose.tsx';
import { moveBetween } from '../parts/row-keys.ts';
import { Moment } from '../parts/times.tsx';
import { useWork } from '../parts/work.ts';
import { goTo, usePlace, withQuery } from '../place.ts';
import { type ChangedValue, changedValues, operationText, subjectsOf } from './audit-words.ts';

const filters = [
  { name: 'actor', label: say.who, placeholder: say.whoPlaceholder },
  { name: 'operation', label: say.what, placeholder: say.whatPlaceholder },
  { name: 'subject', label: say.whom, placeholder: say.whomPlaceholder },
] as const;
const pageSize = 50;

export default function Audit() {
  return (
    <>
      <PageHead title={say.audit} lead={say.lead}>
        <Verification />
      </PageHead>
      <div className="stack">
        <Filters />
        <Entries />
      </div>
    </>
  );
}

function Filters() {
  const place = usePlace();
  return (
    <search className="card filters">
      {filters.map(({ name, label, placeholder }) => (
        <Field key={name} label={label}>
          {(attributes) => (
            <input
              {...attributes}
              type="search"
              autoComplete="off"
              spellCheck={false}
              maxLength={500}
              placeholder={placeholder}
              value={place.query.get(name) ?? ''}
              onChange={(event) => goTo(withQuery(place, { [name]: event.target.value }), { replaces: true })}
            />
          )}
        </Field>
      ))}
    </search>
  );
}

type Query = Partial<Record<(typeof filters)[number]['name'], string>>;

function Entries() {
  const { query } = usePlace();
  const wanted: Query = Object.fromEntries(
    filters.flatMap(({ name }) => (query.get(name) ? [[name, query.get(name)]] : [])),
  );
  const settled = useSettled(JSON.stringify(wanted));
  const asked = JSON.parse(settled) as Query;
  const first = useAnswer(auditOperations.list, { query: { ...asked, limit: pageSize } }, { topics: ['events'] });
  const isFiltered = settled !== '{}';
  return (
    <Card title={say.changes} aside={<p className="for-keyboards">{say.keys}</p>}>
      {first.value === undefined && <Unanswered error={first.error} />}
      {first.value?.entries.length === 0 && (
        <div className="empty">
          <Icon name="search" size={28} />
          <p>{isFiltered ? say.noneLikeThat : say.none}</p>
          {isFiltered && <Button onClick={() => goTo('/audit')}>{say.showAll}</Button>}
        </div>
      )}
      {first.value !== undefined && first.value.entries.length > 0 && (
        <EntryList key={settled} asked={asked} newest={first.value.entries} next={first.value.next} />
      )}
    </Card>
  );
}

interface EntryListProps {
  asked: Query;
  newest: readonly AuditEntryView[];
  /** Where the page after the newest begins. */
  next: string | null;
}

function EntryList({ asked, newest, next }: EntryListProps) {
  const [earlier, setEarlier] = useState<{ entries: AuditEntryView[]; next: string | null } | null>(null);
  const { busy, error, work } = useWork(async () => {
    const before = earlier === null ? next : earlier.next;
    if (before === null) return;
    const more = await ask(auditOperations.list, { query: { ...asked, before, limit: pageSize } });
    setEarlier({ entries: [...(earlier?.entries ?? newest), ...more.entries], next: more.next });
  });
  // What is new comes on top of what was loaded further down.
  const known = new Set(earlier?.entries.map(({ id }) => id));
  const entries = earlier === null ? newest : [...newest.filter(({ id }) => !known.has(id)), ...earlier.entries];
  const isMore = (earlier === null ? next : earlier.next) !== null;
  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: the keys move between the entries, which take the focus themselves */}
      <div onKeyDown={(event) => moveBetween(event, 'details')}>
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </div>
      <Failure error={error} />
      {isMore && (
        <div className="empty">
          <Button busy={busy} onClick={work}>
            {busy ? words.loading : say.showEarlier}
          </Button>
        </div>
      )}
    </>
  );
}

/** Releases before 1.5 say nothing of it, and processes have none. */
function kindText({ from }: AuditEntryView['detail']): string {
  const { actorKind } = (from ?? {}) as { actorKind?: string };
  return say.kinds[actorKind ?? ''] ?? '';
}

function Entry({ entry }: { entry: AuditEntryView }) {
  const { at, actor, operation, kind, number, requestId, changes, changeCount, detail } = entry;
  const subjects = subjectsOf(entry);
  return (
    <details className="entry">
      <summary>
        <span className="twist">
          <Icon name="next" size={16} />
        </span>
        <strong>{operationText(operation)}</strong>
        <span className="quiet small number">
          <Moment at={at} />
        </span>
        <p>
          {actor ?? say.unknownActor}
          <span className="quiet">{kindText(detail)}</span>
          {kind === 'unrecorded' && (
            <>
              {' '}
              <Badge tone="warn">{say.outside}</Badge>
            </>
          )}
          {subjects !== '' && <span>{say.about(subjects)}</span>}
        </p>
      </summary>
      <div className="entry-body stack-tight">
        {changes.map((change, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a recorded entry never changes
          <section key={index} className="stack-tight">
            <h3>
              {operationText(change.operation)} <span className="soft">{change.subjects.slice(0, 20).join(', ')}</span>
              {change.subjectCount > 20 && <span className="quiet">{say.more(change.subjectCount - 20)}</span>}
            </h3>
            <Changes values={changedValues(change.operation, change.detail)} />
          </section>
        ))}
        {changeCount > changes.length && <p className="quiet">{say.moreChanges(changeCount - changes.length)}</p>}
        <p className="quiet small">
          {number === null ? say.notSealed : say.numberInChain(number)}
          {requestId !== null && (
            <>
              {say.about(say.request)} <code>{requestId}</code>
            </>
          )}
        </p>
      </div>
    </details>
  );
}

function Changes({ values }: { values: readonly ChangedValue[] }) {
  if (values.length === 0) return null;
  const wasSomething = values.some(({ before }) => before !== '');
  const isSomething = values.some(({ after }) => after !== '');
  return (
    <table className="changes">
      <thead>
        <tr>
          <th scope="col">{say.value}</th>
          {wasSomething && <th scope="col">{say.before}</th>}
          {isSomething && <th scope="col">{say.after}</th>}
        </tr>
      </thead>
      <tbody>
        {values.map(({ name, before, after }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            {wasSomething && <td className="before">{before}</td>}
            {isSomething && <td className="after">{after}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Verification() {
  const [result, setResult] = useState<{ faults: number; sealed: number } | null>(null);
  const { busy, error, work } = useWork(async () => {
    setResult(await ask(auditOperations.verify, { query: {} }));
  });
  return (
    <div className="row">
      <Failure error={error} />
      {result !== null &&
        (result.faults === 0 ? (
          <Notice tone="good">{say.intact(result.sealed)}</Notice>
        ) : (
          <Notice tone="bad">
            <Prose text={say.faults(result.faults)} />
          </Notice>
        ))}
      <Button busy={busy} onClick={work}>
        {busy ? say.verifying : say.verify}
      </Button>
    </div>
  );
}

/** A value that has not changed for a moment: nothing is asked for every letter that is typed. */
function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  const timer = useRef<number>(undefined);
  useEffect(() => {
    timer.current = window.setTimeout(() => setSettled(value), 250);
    return () => window.clearTimeout(timer.current);
  }, [value]);
  return settled;
}
