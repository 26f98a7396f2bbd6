/** An entry of the audit in words. Pure. */
import type { AuditEntryView } from '../../api/audit.ts';
import { resources } from '../../api/operations.ts';
import { andMore, tableChangeText } from '../messages/audit.ts';
import { words } from '../messages/words.ts';

export interface ChangedValue {
  readonly name: string;
  /** Empty where there was, or is, nothing. */
  readonly before: string;
  readonly after: string;
}

/** Rows are shown one below the other, each at most so often. */
const maxRows = 20;
const maxSubjects = 3;

/** @param operation such as `update account`; @param detail its `changes`: of an update pairs, otherwise the values themselves */
export function changedValues(operation: string, detail: Readonly<Record<string, unknown>>): ChangedValue[] {
  const rows = Array.isArray(detail['changes']) ? (detail['changes'] as unknown[]) : [];
  const [kind] = operation.split(' ');
  return rows.slice(0, maxRows).flatMap((row, index) =>
    Object.entries(isObject(row) ? row : {}).map(([key, value]): ChangedValue => {
      const name = rows.length > 1 ? `${index + 1}. ${key}` : key;
      if (kind === 'update' && Array.isArray(value) && value.length === 2) {
        return { name, before: valueText(value[0]), after: valueText(value[1]) };
      }
      return kind === 'delete'
        ? { name, before: valueText(value), after: '' }
        : { name, before: '', after: valueText(value) };
    }),
  );
}

const summaries = new Map<string, string>(
  Object.values(resources).flatMap((operations) =>
    Object.values(operations).map(({ method, path, summary }) => [`${method} ${path}`, summary] as const),
  ),
);

/** What an operation does, or what was done to a table where it was none of ours. */
export function operationText(operation: string): string {
  return summaries.get(operation) ?? (operation.includes('/') ? operation : tableChangeText(operation));
}

/** What an entry is about, in one line: what the operation names, or else what was changed by it. */
export function subjectsOf({ subjects, changes }: Pick<AuditEntryView, 'subjects' | 'changes'>): string {
  const named = subjects.length > 0 ? subjects : changes.flatMap((change) => change.subjects);
  const different = [...new Set(named)];
  return andMore(different.slice(0, maxSubjects).join(', '), different.length - maxSubjects);
}

function valueText(value: unknown): string {
  if (value === null || value === undefined) return words.nothing;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
