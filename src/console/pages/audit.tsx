/** Who changed what: filters are in the address, entries open for what was there before and after. */
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { type AuditEntryView, auditOperations } from '../../api/audit.ts';
import { useAnswer } from '../live/answers.ts';
import { ask } from '../live/contact.ts';
import { Badge, Button, Card, Failure, Field, Notice, Waiting } from '../parts/controls.tsx';
import { Icon } from '../parts/icon.tsx';
import { Moment } from '../parts/times.tsx';
import { goTo, usePlace, withQuery } from '../place.ts';
import { useSubmit } from '../submitting.ts';
import { type ChangedValue, changedValues, operationText, subjectsOf } from './audit-words.ts';

const filters = [
  { name: 'actor', label: 'Who', placeholder: 'Name' },
  { name: 'operation', label: 'What', placeholder: 'Part of an operation' },
  { name: 'subject', label: 'To whom or what', placeholder: 'Exact name or id' },
] as const;
const pageSize = 50;

export default function Audit() {
  return (
    <>
      <header className="page-head">
        <div>
          <h1>Audit</h1>
          <p>Everything that was changed, by whom, in a chain that nobody can alter unseen.</p>
        </div>
        <Verification />
      </header>
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
    <Card title="Changes" aside={<p>The newest first. Keys: j and k, Enter opens</p>}>
      <Failure error={first.value === undefined ? first.error : null} />
      {first.value === undefined && first.error === null && <Waiting />}
      {first.value?.entries.length === 0 && (
        <div className="empty">
          <Icon name="search" size={28} />
          <p>{isFiltered ? 'No change is like that.' : 'Nothing has been changed yet.'}</p>
          {isFiltered && <Button onClick={() => goTo('/audit')}>Show all</Button>}
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
  const { busy, error, submit } = useSubmit(async () => {
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
      <div onKeyDown={moveBetween}>
        {entries.map((entry) => (
          <Entry key={entry.id} entry={entry} />
        ))}
      </div>
      <Failure error={error} />
      {isMore && (
        <form className="empty" onSubmit={submit}>
          <Button submits busy={busy}>
            {busy ? 'Loading …' : 'Show earlier ones'}
          </Button>
        </form>
      )}
    </>
  );
}

/** j and k go down and up, as do the arrows. */
function moveBetween(event: KeyboardEvent<HTMLElement>): void {
  const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
  if (by === undefined || event.metaKey || event.ctrlKey || event.altKey) return;
  const summaries = [...event.currentTarget.querySelectorAll('summary')];
  const here = summaries.findIndex((summary) => summary.parentElement?.contains(document.activeElement));
  const next = summaries[here + by];
  if (next === undefined) return;
  event.preventDefault();
  next.focus();
  next.scrollIntoView({ block: 'nearest' });
}

function Entry({ entry }: { entry: AuditEntryView }) {
  const { at, actor, operation, kind, number, requestId, changes, changeCount } = entry;
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
          {actor ?? 'unknown'}
          {kind === 'unrecorded' && (
            <>
              {' '}
              <Badge tone="warn">outside of Bramble</Badge>
            </>
          )}
          {subjects !== '' && <span> · {subjects}</span>}
        </p>
      </summary>
      <div className="entry-body stack-tight">
        {changes.map((change, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a recorded entry never changes
          <section key={index} className="stack-tight">
            <h3>
              {operationText(change.operation)} <span className="soft">{change.subjects.slice(0, 20).join(', ')}</span>
              {change.subjectCount > 20 && <span className="quiet"> and {change.subjectCount - 20} more</span>}
            </h3>
            <Changes values={changedValues(change.operation, change.detail)} />
          </section>
        ))}
        {changeCount > changes.length && <p className="quiet">and {changeCount - changes.length} more changes</p>}
        <p className="quiet small">
          {number === null ? 'Not sealed yet' : `Number ${number} of the chain`}
          {requestId !== null && (
            <>
              {' '}
              · request <code>{requestId}</code>
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
          <th scope="col">Value</th>
          {wasSomething && <th scope="col">Before</th>}
          {isSomething && <th scope="col">After</th>}
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
  const { busy, error, submit } = useSubmit(async () => {
    setResult(await ask(auditOperations.verify, { query: {} }));
  });
  return (
    <form className="row" onSubmit={submit}>
      <Failure error={error} />
      {result !== null &&
        (result.faults === 0 ? (
          <Notice tone="good">All {result.sealed.toLocaleString('en')} records are as they were written.</Notice>
        ) : (
          <Notice tone="bad">
            {result.faults} faults. <code>bramble audit verify</code> names them.
          </Notice>
        ))}
      <Button submits busy={busy}>
        {busy ? 'Verifying …' : 'Verify the chain'}
      </Button>
    </form>
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
