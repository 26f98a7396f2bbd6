/** Browsers that are signed in, and the end of a session. */
import { useState } from 'react';
import type { AnswerOf } from '../../../api/operation.ts';
import { signInOperations } from '../../../api/sign-in.ts';
import { refresh, useAnswer } from '../../live/answers.ts';
import { accessWords, sessionWords as say } from '../../messages/access.ts';
import { Badge, Button, Card, Unanswered } from '../../parts/controls.tsx';
import { Confirm } from '../../parts/dialog.tsx';
import { Table } from '../../parts/table.tsx';
import { Ago } from '../../parts/times.tsx';

type Session = AnswerOf<typeof signInOperations.listSessions>['sessions'][number];

export function Sessions() {
  const { value, error } = useAnswer(signInOperations.listSessions, {}, { topics: ['events'] });
  const [ending, setEnding] = useState<Session | null>(null);
  return (
    <Card title={accessWords.sessions} lead={say.lead}>
      {value === undefined && <Unanswered error={error} />}
      {value !== undefined && <SessionTable sessions={value.sessions} onEnd={setEnding} />}
      {ending !== null && <EndSession session={ending} onClose={() => setEnding(null)} />}
    </Card>
  );
}

function SessionTable({ sessions, onEnd }: { sessions: readonly Session[]; onEnd: (session: Session) => void }) {
  return (
    <Table
      caption={accessWords.sessions}
      keyOf={({ id }) => id}
      rows={sessions}
      columns={[
        {
          title: say.administrator,
          cell: ({ administrator, current }) => (
            <span className="row">
              {administrator} {current && <Badge tone="good">{say.thisBrowser}</Badge>}
            </span>
          ),
        },
        { title: say.browser, cell: ({ client }) => clientText(client) },
        { title: say.from, cell: ({ address }) => address },
        {
          title: say.signedIn,
          cell: ({ createdAt, method }) => (
            <>
              <Ago at={createdAt} /> <span className="quiet small">{say.by(method)}</span>
            </>
          ),
        },
        { title: say.lastSeen, cell: ({ seenAt }) => <Ago at={seenAt} /> },
        {
          title: '',
          kind: 'end',
          cell: (session) => (
            <Button kind="small" onClick={() => onEnd(session)}>
              {say.endShort}
              <span className="hidden-text">{say.ofSession(session.administrator)}</span>
            </Button>
          ),
        },
      ]}
    />
  );
}

function EndSession({ session, onClose }: { session: Session; onClose: () => void }) {
  return (
    <Confirm
      title={say.question}
      act={say.end}
      onClose={onClose}
      onAct={async (ask) => {
        await ask(signInOperations.endSession, { params: { id: session.id } });
        await refresh(signInOperations.listSessions, signInOperations.me);
      }}
    >
      <p>{session.current ? say.ownCost : say.cost(session.administrator, session.address)}</p>
    </Confirm>
  );
}

/** What a browser says of itself, as people call it. */
function clientText(client: string): string {
  const browser = /(Edg|Firefox|Chrome|Safari)/.exec(client)?.[1];
  const system = /(Windows|Mac OS X|Android|iPhone|iPad|Linux)/.exec(client)?.[1];
  if (browser === undefined) return client === '' ? say.unknown : client.slice(0, 60);
  const name = say.browsers[browser] ?? browser;
  return system === undefined ? name : say.onSystem(name, say.systems[system] ?? system);
}
