/** What somebody or something may do: a role, in the whole domain or in some groups only. */
import { useState } from 'react';
import { groupOperations } from '../../../api/groups.ts';
import { predefinedRoleNames } from '../../../api/rights.ts';
import { roleOperations } from '../../../api/roles.ts';
import { useAnswer } from '../../live/answers.ts';
import { roleWords, scopeWords as say } from '../../messages/access.ts';
import { Choices, SelectField } from '../../parts/fields.tsx';
import { Prose } from '../../parts/prose.tsx';
import { useRight } from '../../session.ts';

export interface Scope {
  readonly isLimited: boolean;
  /** By name; kept while the limit is taken away and back again. */
  readonly groups: readonly string[];
}

export const wholeDomain: Scope = { isLimited: false, groups: [] };

interface RoleAndGroupsProps {
  role: string;
  scope: Scope;
  onRole: (role: string) => void;
  onScope: (scope: Scope) => void;
}

export function RoleAndGroups({ role, scope, onRole, onScope }: RoleAndGroupsProps) {
  const { value } = useAnswer(roleOperations.list, {});
  const maySeeGroups = useRight('groups.read');
  const names = value?.roles.map(({ name }) => name) ?? predefinedRoleNames;
  const rights = value?.roles.find(({ name }) => name === role)?.rights ?? [];
  const kept = rights.filter((right) => value?.rights.some(({ name, inGroups }) => name === right && inGroups));
  return (
    <>
      <SelectField
        label={say.role}
        name="role"
        hint={value === undefined ? undefined : roleWords.chosen(rights.length, value.rights.length)}
        value={role}
        options={names.map((name) => ({ value: name, text: name }))}
        onChange={onRole}
      />
      {maySeeGroups && (
        <Choices
          label={say.scope}
          value={scope.isLimited ? 'groups' : 'all'}
          options={[
            { value: 'all', text: say.all },
            { value: 'groups', text: say.groups },
          ]}
          onChange={(chosen) => onScope({ ...scope, isLimited: chosen === 'groups' })}
        >
          {scope.isLimited && (
            <>
              <GroupChoice chosen={scope.groups} onChange={(groups) => onScope({ isLimited: true, groups })} />
              {value !== undefined && <p className="hint">{say.kept(kept.length, rights.length)}</p>}
            </>
          )}
        </Choices>
      )}
    </>
  );
}

/** From so many on, they are searched. */
const manyGroups = 8;
/** As many as are drawn; the search finds the others. */
const maxShown = 100;

function GroupChoice({ chosen, onChange }: { chosen: readonly string[]; onChange: (groups: string[]) => void }) {
  const { value } = useAnswer(groupOperations.list, { query: {} }, { topics: ['events'] });
  const [search, setSearch] = useState('');
  if (value === undefined) return null;
  const wanted = search.trim().toLowerCase();
  const found = value.groups.filter(({ name }) => name.toLowerCase().includes(wanted)).slice(0, maxShown);
  if (value.groups.length === 0)
    return (
      <p className="hint">
        <Prose text={say.none} />
      </p>
    );
  return (
    <fieldset className="inner">
      <legend className="hidden-text">{say.which}</legend>
      {value.groups.length > manyGroups && (
        <input
          className="input"
          type="search"
          aria-label={say.search}
          placeholder={say.search}
          value={search}
          onChange={(event) => setSearch(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === 'Enter') event.preventDefault();
          }}
        />
      )}
      <div className="checks">
        {found.map(({ name }) => (
          <label key={name} className="choice">
            <input
              type="checkbox"
              checked={chosen.includes(name)}
              onChange={({ target }) =>
                onChange(target.checked ? [...chosen, name] : chosen.filter((other) => other !== name))
              }
            />
            {name}
          </label>
        ))}
        {found.length === 0 && <p className="hint">{say.noMatch}</p>}
      </div>
      <p className="hint" aria-live="polite">
        {chosen.length === 0 ? say.choose : say.chosen(chosen)}
      </p>
    </fieldset>
  );
}
