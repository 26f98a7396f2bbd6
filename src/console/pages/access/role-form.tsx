/** A role of the domain's own: its name, and its rights by area. Nobody can give a right that he does not have. */
import { use, useEffect, useRef } from 'react';
import type { Right } from '../../../api/rights.ts';
import { roleOperations } from '../../../api/roles.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh } from '../../live/answers.ts';
import { roleWords as say } from '../../messages/access.ts';
import { words } from '../../messages/words.ts';
import { Dialog } from '../../parts/dialog.tsx';
import { useDraft } from '../../parts/draft.ts';
import { SelectField, TextField } from '../../parts/fields.tsx';
import { Form } from '../../parts/form.tsx';
import type { Attempt } from '../../parts/work.ts';
import { MeContext } from '../../session.ts';
import { type Area, areasOf, type KnownRight, type Role } from './rights-table.tsx';

interface RoleFormProps {
  /** Which is changed; null for a new one. */
  role: Role | null;
  roles: readonly Role[];
  rights: readonly KnownRight[];
  /** Who has it, in words; empty if nobody has. */
  users: string;
  onClose: () => void;
}

export function RoleForm({ role, roles, rights, users, onClose }: RoleFormProps) {
  const own = use(MeContext)?.rights ?? [];
  const { values, change, drop } = useDraft(`role:${role?.name ?? ''}`, {
    ...{ name: role?.name ?? '', from: '' },
    rights: role?.rights ?? ([] as readonly string[]),
  });
  const end = (): void => {
    drop();
    onClose();
  };
  const send: Attempt = async (ask) => {
    const body = { rights: values.rights as readonly Right[] };
    if (role === null) await ask(roleOperations.create, { body: { name: values.name, ...body } });
    else await ask(roleOperations.change, { params: { name: role.name }, body });
    await refresh(roleOperations.list);
    end();
  };
  const startFrom = (from: string): void => {
    const those = roles.find(({ name }) => name === from)?.rights ?? [];
    change({ from, rights: those.filter((right) => own.includes(right)) });
  };
  return (
    <Dialog title={role === null ? say.add : say.change(role.name)} isWide onClose={onClose}>
      <Form
        act={role === null ? say.create : say.save}
        other={{ text: words.cancel, onClick: end }}
        command={commandOf(role, values)}
        onSend={send}
      >
        {role === null && (
          <div className="pair">
            <TextField
              label={words.name}
              name="name"
              hint={say.nameHint}
              value={values.name}
              onChange={(name) => change({ name })}
            />
            <SelectField
              label={say.startFrom}
              name="from"
              value={values.from}
              options={[
                { value: '', text: say.startFromNothing },
                ...roles.map(({ name }) => ({ value: name, text: name })),
              ]}
              onChange={startFrom}
            />
          </div>
        )}
        <p className="small soft" aria-live="polite">
          {say.chosen(values.rights.length, rights.length)}
          {users !== '' && ` · ${say.saveCost(users)}`}
        </p>
        <div className="areas">
          {areasOf(rights).map((area) => (
            <AreaOfRights
              key={area.name}
              area={area}
              chosen={values.rights}
              own={own}
              onChange={(chosen) => change({ rights: chosen })}
            />
          ))}
        </div>
      </Form>
    </Dialog>
  );
}

function commandOf(role: Role | null, { name, rights }: { name: string; rights: readonly string[] }): string {
  return `bramble role ${role === null ? 'add' : 'set'} ${shellWord(name || 'NAME')} --rights ${rights.join(',') || 'RIGHTS'}`;
}

interface AreaOfRightsProps {
  area: Area;
  chosen: readonly string[];
  /** Of who gives them. */
  own: readonly string[];
  onChange: (chosen: string[]) => void;
}

function AreaOfRights({ area, chosen, own, onChange }: AreaOfRightsProps) {
  const givable = area.rights.filter(({ name }) => own.includes(name)).map(({ name }) => name);
  const set = (names: readonly string[], isOn: boolean): void => {
    const others = chosen.filter((name) => !names.includes(name));
    onChange(isOn ? [...others, ...names] : others);
  };
  return (
    <fieldset className="area-of-rights">
      <legend>
        <All
          label={say.allOf(area.name)}
          text={area.name}
          chosen={givable.filter((name) => chosen.includes(name)).length}
          of={givable.length}
          onChange={(isOn) => set(givable, isOn)}
        />
      </legend>
      {area.rights.map(({ name, purpose, inGroups }) => (
        <label key={name} className="choice" title={own.includes(name) ? name : say.lacking}>
          <input
            type="checkbox"
            checked={chosen.includes(name)}
            disabled={!own.includes(name)}
            onChange={({ target }) => set([name], target.checked)}
          />
          <span>
            {purpose} {inGroups && <span className="quiet small">{say.inGroups}</span>}
          </span>
        </label>
      ))}
    </fieldset>
  );
}

interface AllProps {
  label: string;
  text: string;
  chosen: number;
  of: number;
  onChange: (isOn: boolean) => void;
}

/** All rights of an area at once; half of them shows as neither. */
function All({ label, text, chosen, of, onChange }: AllProps) {
  const box = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (box.current !== null) box.current.indeterminate = chosen > 0 && chosen < of;
  }, [chosen, of]);
  return (
    <label className="choice">
      <input
        ref={box}
        type="checkbox"
        aria-label={label}
        checked={of > 0 && chosen === of}
        disabled={of === 0}
        onChange={({ target }) => onChange(target.checked)}
      />
      {text}
    </label>
  );
}
