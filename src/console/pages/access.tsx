/** Who has access: sessions, administrators, and tokens of programs. */
import { useState } from 'react';
import { administratorOperations } from '../../api/administrators.ts';
import type { AnswerOf } from '../../api/operation.ts';
import { signInOperations } from '../../api/sign-in.ts';
import { tokenOperations } from '../../api/tokens.ts';
import { refresh, useAnswer } from '../live/answers.ts';
import { ask } from '../live/contact.ts';
import { Badge, Button, Card, Failure, Waiting } from '../parts/controls.tsx';
import { Confirm } from '../parts/dialog.tsx';
import { Icon } from '../parts/icon.tsx';
import { Table } from '../parts/table.tsx';
import { Ago, Moment } from '../parts/times.tsx';
import { useRight } from '../session.ts';
import { InviteAdministrator, NewToken } from './new-access.tsx';
import { OwnSignIn } from './own-sign-in.tsx';

export default function Access() {
  const maySeeAll = useRight('access.read');
  return (
    <>
      <header className="page-head">
        <div>
          <h1>Access</h1>
          <p>Who is signed in, who may sign in, and which programs may.</p>
        </div>
      </header>
      <div className="stack">
        <OwnSignIn />
        <Sessions />
        {maySeeAll && <Administrators />}
        {maySeeAll && <Tokens />}
      </div>
    </>
  );
}

type Session = AnswerOf<typeof signInOperations.listSessions>['sessions'][number];

function Sessions() {
  const { value, error } = useAnswer(signInOperations.listSessions, {}, { topics: ['events'] });
  const [ending, setEnding] = useState<Session | null>(null);
  return (
    <Card title="Sessions" aside={<p>Browsers that are signed in</p>}>
      <Failure error={value === undefined ? error : null} />
      {value === undefined && error === null && <Waiting />}
      {value !== undefined && (
        <Table
          caption="Sessions"
          keyOf={({ id }) => id}
          rows={value.sessions}
          columns={[
            {
              title: 'Administrator',
              cell: ({ administrator, current }) => (
                <span className="row">
                  <strong>{administrator}</strong>
                  {current && <Badge tone="good">this browser</Badge>}
                </span>
              ),
            },
            { title: 'Browser', cell: ({ client }) => clientText(client) },
            { title: 'From', cell: ({ address }) => address },
            {
              title: 'Signed in',
              cell: ({ createdAt, method }) => (
                <>
                  <Ago at={createdAt} /> <span className="quiet small">by {method}</span>
                </>
              ),
            },
            { title: 'Last seen', cell: ({ seenAt }) => <Ago at={seenAt} /> },
            {
              title: '',
              kind: 'end',
              cell: (session) => (
                <Button kind="small" onClick={() => setEnding(session)}>
                  End<span className="hidden-text"> the session of {session.administrator}</span>
                </Button>
              ),
            },
          ]}
        />
      )}
      {ending !== null && (
        <Confirm
          title="End this session?"
          act="End the session"
          onClose={() => setEnding(null)}
          onAct={async () => {
            await ask(signInOperations.endSession, { params: { id: ending.id } });
            await refresh(signInOperations.listSessions, signInOperations.me);
          }}
        >
          <p>
            {ending.current
              ? 'You are signed out of this browser.'
              : `${ending.administrator} is signed out at ${ending.address}.`}{' '}
            What was done stays done.
          </p>
        </Confirm>
      )}
    </Card>
  );
}

function Administrators() {
  const { value, error } = useAnswer(administratorOperations.list, {}, { topics: ['events'] });
  const [isInviting, setInviting] = useState(false);
  const mayChange = useRight('access.write');
  return (
    <Card
      title="Administrators"
      aside={
        mayChange && (
          <Button kind="small" onClick={() => setInviting(true)}>
            <Icon name="plus" size={16} /> Add an administrator
          </Button>
        )
      }
    >
      <Failure error={value === undefined ? error : null} />
      {value !== undefined && (
        <Table
          caption="Administrators"
          keyOf={({ name }) => name}
          rows={value.administrators}
          columns={[
            {
              title: 'Name',
              cell: ({ name, displayName }) => (
                <>
                  <strong>{name}</strong> {displayName !== '' && <span className="soft">{displayName}</span>}
                </>
              ),
            },
            {
              title: 'Role',
              cell: ({ role, groups }) => (
                <>
                  {role}
                  {groups !== null && (
                    <span className="quiet small"> limited to {groups.join(', ') || 'no group'}</span>
                  )}
                </>
              ),
            },
            {
              title: 'Signs in by',
              cell: ({ hasPassword, asksTotp }) =>
                hasPassword ? (
                  `password${asksTotp ? ' and code' : ''}`
                ) : (
                  <span className="quiet">has not signed in yet</span>
                ),
            },
            { title: 'Sessions', kind: 'number', cell: ({ sessions }) => sessions },
            {
              title: 'State',
              cell: ({ state }) => <Badge tone={state === 'active' ? 'good' : 'quiet'}>{state}</Badge>,
            },
          ]}
        />
      )}
      {isInviting && <InviteAdministrator onClose={() => setInviting(false)} />}
    </Card>
  );
}

type Token = AnswerOf<typeof tokenOperations.list>['tokens'][number];

function Tokens() {
  const { value, error } = useAnswer(tokenOperations.list, {}, { topics: ['events'] });
  const [isMaking, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const mayChange = useRight('access.write');
  return (
    <Card
      title="API tokens"
      aside={
        mayChange && (
          <Button kind="small" onClick={() => setMaking(true)}>
            <Icon name="plus" size={16} /> Create a token
          </Button>
        )
      }
    >
      <Failure error={value === undefined ? error : null} />
      {value !== undefined && (
        <Table
          caption="API tokens"
          keyOf={({ name, createdAt }) => name + createdAt.toISOString()}
          rows={value.tokens}
          columns={[
            { title: 'Name', cell: ({ name }) => <strong>{name}</strong> },
            { title: 'May', cell: ({ role }) => role ?? <span className="soft">everything</span> },
            {
              title: 'Created',
              cell: ({ createdAt, createdBy }) => (
                <>
                  <Moment at={createdAt} /> {createdBy !== null && <span className="quiet small">by {createdBy}</span>}
                </>
              ),
            },
            {
              title: 'Ends',
              cell: ({ expiresAt }) =>
                expiresAt === null ? <span className="soft">never</span> : <Ago at={expiresAt} />,
            },
            {
              title: 'State',
              cell: (token) => <TokenState token={token} />,
            },
            {
              title: '',
              kind: 'end',
              cell: (token) =>
                mayChange && token.revokedAt === null ? (
                  <Button kind="small" onClick={() => setRevoking(token)}>
                    Revoke<span className="hidden-text"> the token {token.name}</span>
                  </Button>
                ) : null,
            },
          ]}
        />
      )}
      {isMaking && <NewToken onClose={() => setMaking(false)} />}
      {revoking !== null && (
        <Confirm
          title={`Revoke the token ${revoking.name}?`}
          typed={revoking.name}
          act="Revoke for good"
          onClose={() => setRevoking(null)}
          onAct={async () => {
            await ask(tokenOperations.revoke, { params: { name: revoking.name } });
            await refresh(tokenOperations.list);
          }}
        >
          <p>Every program that uses it is refused from now on. It cannot be made valid again.</p>
        </Confirm>
      )}
    </Card>
  );
}

function TokenState({ token: { revokedAt, expiresAt } }: { token: Token }) {
  if (revokedAt !== null) {
    return (
      <>
        <Badge>revoked</Badge>{' '}
        <span className="quiet small">
          <Ago at={revokedAt} />
        </span>
      </>
    );
  }
  return expiresAt !== null && expiresAt.getTime() < Date.now() ? (
    <Badge>ended</Badge>
  ) : (
    <Badge tone="good">valid</Badge>
  );
}

/** What a browser says of itself, as people call it. */
function clientText(client: string): string {
  const browser = /(Edg|Firefox|Chrome|Safari)/.exec(client)?.[1];
  const system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(client)?.[1];
  if (browser === undefined) return client === '' ? 'unknown' : client.slice(0, 60);
  const name = browser === 'Edg' ? 'Edge' : browser;
  return system === undefined ? name : `${name} on ${system === 'Mac OS X' ? 'macOS' : system}`;
}
