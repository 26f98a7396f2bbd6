/**
 * A table that folds on a narrow screen: what the row is about becomes its heading, each other value stands beside the name of its
 * column, and none is hidden. j and k go from row to row, to what can be done there.
 */
import type { ReactNode } from 'react';
import { words } from '../messages/words.ts';
import { moveBetween } from './row-keys.ts';

interface Column<Row> {
  /** Empty for a column of buttons. */
  readonly title: string;
  readonly kind?: 'number' | 'end';
  readonly cell: (row: Row) => ReactNode;
}

interface TableProps<Row> {
  /** What is listed, for those who do not see it. */
  caption: string;
  /** The first says what the row is about. */
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
}

export function Table<Row>({ caption, columns, rows, keyOf }: TableProps<Row>) {
  return (
    <table className="table" onKeyDown={(event) => moveBetween(event, 'tr')}>
      <caption className="hidden-text">{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ title, kind }) => (
            <th key={title} className={kind} scope="col">
              {title === '' ? <span className="hidden-text">{words.actions}</span> : title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map(({ title, kind, cell }, index) =>
              index === 0 ? (
                <th key={title} scope="row">
                  {cell(row)}
                </th>
              ) : (
                <td key={title} className={kind} data-label={title}>
                  <div>{cell(row)}</div>
                </td>
              ),
            )}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
