/** Roles: the predefined ones and those of the domain's own, who has them, and what each may do. */
import { useState } from 'react';
import { administratorOperations } from '../../../api/administrators.ts';
import { roleOperations } from '../../../api/roles.ts';
import { tokenOperations } from '../../../api/tokens.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh, useAnswer } from '../../live/answers.ts';
import { accessWords, roleWords as say } from '../../messages/access.ts';
import { words } from '../../messages/words.ts';
import { Badge, Button, Card, Notice, Unanswered } from '../../parts/controls.tsx';
import { Confirm, Dialog, DialogEnd } from '../../parts/dialog.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Table } from '../../parts/table.tsx';
import { useRight } from '../../session.ts';
import { type KnownRight, RightsTable, type Role } from './rights-table.tsx';
import { RoleForm } from './role-form.tsx';

/** What a dialog is open for. */
type Opened = { readonly kind: 'create' } | { readonly kind: 'change' | 'remove'; readonly role: Role };

export function Roles() {
  const { value, error } = useAnswer(roleOperations.list, {}, { topics: ['events'] });
  const usersOf = useUsers();
  const [opened, setOpened] = useState<Opened | null>(null);
  const mayChange = useRight('access.write');
  const close = (): void => setOpened(null);
  if (value === undefined) {
    return (
      <Card title={accessWords.roles} lead={say.lead}>
        <Unanswered error={error} />
      </Card>
    );
  }
  const { roles, rights } = value;
  return (
    <>
      <Card
        title={accessWords.roles}
        lead={say.lead}
        aside={
          mayChange && (
            <Button kind="small" onClick={() => setOpened({ kind: 'create' })}>
              <Icon name="plus" size={16} /> {say.add}
            </Button>
          )
        }
      >
        <RoleTable {...{ roles, rights, usersOf }} onOpen={mayChange ? setOpened : null} />
      </Card>
      <Card title={say.table} lead={say.tableLead}>
        <RightsTable roles={roles} rights={rights} />
      </Card>
      {opened?.kind === 'create' && <RoleForm {...{ role: null, roles, rights, users: '' }} onClose={close} />}
      {opened?.kind === 'change' && (
        <RoleForm {...{ role: opened.role, roles, rights, users: usersOf(opened.role.name) }} onClose={close} />
      )}
      {opened?.kind === 'remove' && (
        <RemoveRole name={opened.role.name} users={usersOf(opened.role.name)} onClose={close} />
      )}
    </>
  );
}

/** Who has a role, in words; empty if nobody has. */
function useUsers(): (role: string) => string {
  const administrators =
    useAnswer(administratorOperations.list, {}, { topics: ['events'] }).value?.administrators ?? [];
  const tokens = useAnswer(tokenOperations.list, {}, { topics: ['events'] }).value?.tokens ?? [];
  const now = Date.now();
  const isValid = ({ revokedAt, expiresAt }: (typeof tokens)[number]) =>
    revokedAt === null && (expiresAt === null || expiresAt.getTime() > now);
  return (role) =>
    say.users(
      administrators.filter((one) => one.role === role).length,
      tokens.filter((token) => token.role === role && isValid(token)).length,
    );
}

interface RoleTableProps {
  roles: readonly Role[];
  rights: readonly KnownRight[];
  usersOf: (role: string) => string;
  /** Null where nothing can be changed. */
  onOpen: ((opened: Opened) => void) | null;
}

function RoleTable({ roles, rights, usersOf, onOpen }: RoleTableProps) {
  return (
    <Table
      caption={accessWords.roles}
      keyOf={({ name }) => name}
      rows={roles}
      columns={[
        { title: say.role, cell: ({ name }) => name },
        {
          title: say.kind,
          cell: ({ predefined }) =>
            predefined ? <span className="soft">{say.predefined}</span> : <Badge tone="info">{say.own}</Badge>,
        },
        { title: say.rights, cell: (role) => say.count(role.rights.length, rights.length) },
        { title: say.usedBy, cell: ({ name }) => usersOf(name) || <span className="quiet">{say.nobody}</span> },
        {
          title: '',
          kind: 'end',
          cell: (role) =>
            onOpen !== null &&
            !role.predefined && (
              <span className="row">
                <Button kind="small" onClick={() => onOpen({ kind: 'change', role })}>
                  {say.changeShort}
                  <span className="hidden-text">{say.ofRole(role.name)}</span>
                </Button>
                <Button kind="small" onClick={() => onOpen({ kind: 'remove', role })}>
                  {say.removeShort}
                  <span className="hidden-text">{say.ofRole(role.name)}</span>
                </Button>
              </span>
            ),
        },
      ]}
    />
  );
}

function RemoveRole({ name, users, onClose }: { name: string; users: string; onClose: () => void }) {
  const title = say.removeQuestion(name);
  if (users !== '') {
    return (
      <Dialog title={title} onClose={onClose}>
        <div className="form">
          <Notice tone="warn">{say.inUse(users)}</Notice>
          <DialogEnd text={words.close} onClose={onClose} />
        </div>
      </Dialog>
    );
  }
  return (
    <Confirm
      title={title}
      act={say.remove}
      command={`bramble role remove ${shellWord(name)}`}
      onClose={onClose}
      onAct={async (ask) => {
        await ask(roleOperations.remove, { params: { name } });
        await refresh(roleOperations.list);
      }}
    >
      <p>{say.removeCost}</p>
    </Confirm>
  );
}
