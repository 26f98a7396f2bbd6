/** Which role has which right. On a narrow screen each right names the roles that have it. */
import type { AnswerOf } from '../../../api/operation.ts';
import type { roleOperations } from '../../../api/roles.ts';
import { areaOf, roleWords as say } from '../../messages/access.ts';

type Answer = AnswerOf<typeof roleOperations.list>;
export type Role = Answer['roles'][number];
export type KnownRight = Answer['rights'][number];

export interface Area {
  readonly name: string;
  readonly rights: readonly KnownRight[];
}

/** Rights as people look for them, in the order in which they are listed. */
export function areasOf(rights: readonly KnownRight[]): Area[] {
  const areas = new Map<string, KnownRight[]>();
  for (const right of rights) {
    const name = areaOf(right.name);
    areas.set(name, [...(areas.get(name) ?? []), right]);
  }
  return [...areas].map(([name, ofArea]) => ({ name, rights: ofArea }));
}

export function RightsTable({ roles, rights }: { roles: readonly Role[]; rights: readonly KnownRight[] }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: with many roles it is scrolled, by keyboard as well
    <section className="scrolled" tabIndex={0} aria-label={say.allRights}>
      <table className="rights">
        <caption className="hidden-text">{say.allRights}</caption>
        <thead>
          <tr>
            <th scope="col">{say.right}</th>
            {roles.map(({ name }) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        {areasOf(rights).map((area) => (
          <tbody key={area.name}>
            <tr className="area">
              <th colSpan={roles.length + 1} scope="rowgroup">
                {area.name}
              </th>
            </tr>
            {area.rights.map((right) => (
              <RightRow key={right.name} right={right} roles={roles} />
            ))}
          </tbody>
        ))}
      </table>
    </section>
  );
}

function RightRow({ right: { name, purpose, inGroups }, roles }: { right: KnownRight; roles: readonly Role[] }) {
  return (
    <tr>
      <th scope="row" title={name}>
        {purpose} {inGroups && <span className="quiet small">{say.inGroups}</span>}
      </th>
      {roles.map((role) => {
        const has = role.rights.includes(name);
        return (
          <td key={role.name} data-has={has} data-role={role.name}>
            <span className="mark" aria-hidden="true">
              {has && say.has}
            </span>
            <span className="hidden-text">{has ? say.hasLabel : say.hasNot}</span>
          </td>
        );
      })}
    </tr>
  );
}
