/** People who sign in: listed, invited, and each of them managed. Who is managed is in the address. */
import { use, useState } from 'react';
import { administratorOperations } from '../../../api/administrators.ts';
import { useAnswer } from '../../live/answers.ts';
import { accessWords, administratorWords as say } from '../../messages/access.ts';
import { Badge, Button, Card, Notice, Unanswered } from '../../parts/controls.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Table } from '../../parts/table.tsx';
import { goTo, usePlace, withQuery } from '../../place.ts';
import { MeContext, useRight } from '../../session.ts';
import { InviteAdministrator } from './invite-administrator.tsx';
import { type Administrator, ManageAdministrator } from './manage-administrator.tsx';
import { SecondFactorRule } from './second-factor-rule.tsx';

export function Administrators() {
  const { value, error } = useAnswer(administratorOperations.list, {}, { topics: ['events'] });
  const [isInviting, setInviting] = useState(false);
  const mayChange = useRight('access.write');
  return (
    <Card
      title={accessWords.administrators}
      lead={say.lead}
      aside={
        mayChange && (
          <Button kind="small" onClick={() => setInviting(true)}>
            <Icon name="plus" size={16} /> {say.add}
          </Button>
        )
      }
    >
      <SecondFactorRule />
      {value === undefined && <Unanswered error={error} />}
      {value !== undefined && <AdministratorTable administrators={value.administrators} mayChange={mayChange} />}
      {mayChange && <Managed administrators={value?.administrators} />}
      {isInviting && <InviteAdministrator onClose={() => setInviting(false)} />}
    </Card>
  );
}

/** The one that the address names. */
function Managed({ administrators }: { administrators: readonly Administrator[] | undefined }) {
  const place = usePlace();
  const name = place.query.get('administrator');
  if (name === null) return null;
  const close = (): void => goTo(withQuery(place, { administrator: '' }), { replaces: true });
  const one = administrators?.find((administrator) => administrator.name === name);
  return (
    // Stays while its administrator is asked for anew: what is typed in it is kept.
    <ManagedDialog key={name} name={name} one={one} isKnown={administrators !== undefined} onClose={close} />
  );
}

interface ManagedDialogProps {
  name: string;
  one: Administrator | undefined;
  isKnown: boolean;
  onClose: () => void;
}

function ManagedDialog({ name, one, isKnown, onClose }: ManagedDialogProps) {
  const [last, setLast] = useState(one);
  if (one !== undefined && one !== last) setLast(one);
  if (last !== undefined) return <ManageAdministrator one={last} onClose={onClose} />;
  if (!isKnown) return null;
  return (
    <Dialog title={name} onClose={onClose}>
      <Notice tone="warn">{say.gone(name)}</Notice>
    </Dialog>
  );
}

interface AdministratorTableProps {
  administrators: readonly Administrator[];
  mayChange: boolean;
}

function AdministratorTable({ administrators, mayChange }: AdministratorTableProps) {
  const place = usePlace();
  const own = use(MeContext)?.name;
  return (
    <Table
      caption={accessWords.administrators}
      keyOf={({ name }) => name}
      rows={administrators}
      columns={[
        {
          title: say.name,
          cell: ({ name, displayName }) => (
            <span className="row">
              {name} {displayName !== '' && <span className="soft plain">{displayName}</span>}
              {name === own && <Badge>{say.you}</Badge>}
            </span>
          ),
        },
        {
          title: say.role,
          cell: ({ role, groups }) => (
            <>
              {role} {groups !== null && <span className="quiet small">{say.limitedTo(groups)}</span>}
            </>
          ),
        },
        {
          title: say.signsInBy,
          cell: (one) => (
            <span className="row">
              {say.signIn(one)} {one.lacksFactor && <Badge tone="warn">{say.lacksFactor}</Badge>}
            </span>
          ),
        },
        { title: say.sessions, cell: ({ sessions }) => sessions },
        {
          title: say.state,
          cell: ({ state }) => <Badge tone={state === 'active' ? 'good' : 'quiet'}>{state}</Badge>,
        },
        {
          title: '',
          kind: 'end',
          cell: ({ name }) =>
            mayChange && (
              <Button
                kind="small"
                aria-label={say.manageOne(name)}
                onClick={() => goTo(withQuery(place, { administrator: name }), { replaces: true })}
              >
                {say.manage}
              </Button>
            ),
        },
      ]}
    />
  );
}
