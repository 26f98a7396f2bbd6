/** A table that folds on a narrow screen: each value then stands beside the name of its column, and none is hidden. */
import type { ReactNode } from 'react';

interface Column<Row> {
  /** Empty for a column of buttons. */
  readonly title: string;
  readonly kind?: 'number' | 'end';
  readonly cell: (row: Row) => ReactNode;
}

interface TableProps<Row> {
  /** What is listed, for those who do not see it. */
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  keyOf: (row: Row) => string;
}

export function Table<Row>({ caption, columns, rows, keyOf }: TableProps<Row>) {
  return (
    <table className="table">
      <caption className="hidden-text">{caption}</caption>
      <thead>
        <tr>
          {columns.map(({ title, kind }) => (
            <th key={title} className={kind} scope="col">
              {title === '' ? <span className="hidden-text">Actions</span> : title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={keyOf(row)}>
            {columns.map(({ title, kind, cell }) => (
              <td key={title} className={kind} data-label={title}>
                <div>{cell(row)}</div>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
