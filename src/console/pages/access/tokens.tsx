/** Tokens of programs: the valid ones first; those that let nobody in any more are folded away. */
import { useState } from 'react';
import type { AnswerOf } from '../../../api/operation.ts';
import { tokenOperations } from '../../../api/tokens.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh, useAnswer } from '../../live/answers.ts';
import { accessWords, administratorWords, tokenWords as say } from '../../messages/access.ts';
import { words } from '../../messages/words.ts';
import { Badge, Button, Card, Unanswered } from '../../parts/controls.tsx';
import { Confirm } from '../../parts/dialog.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Prose } from '../../parts/prose.tsx';
import { Table } from '../../parts/table.tsx';
import { Ago, Moment } from '../../parts/times.tsx';
import { useRight } from '../../session.ts';
import { NewToken } from './new-token.tsx';

type Token = AnswerOf<typeof tokenOperations.list>['tokens'][number];

export function Tokens() {
  const { value, error } = useAnswer(tokenOperations.list, {}, { topics: ['events'] });
  const [isMaking, setMaking] = useState(false);
  const [revoking, setRevoking] = useState<Token | null>(null);
  const mayChange = useRight('access.write');
  const valid = value?.tokens.filter((token) => endOf(token) === null) ?? [];
  const past = value?.tokens.filter((token) => endOf(token) !== null) ?? [];
  return (
    <Card
      title={accessWords.tokens}
      lead={<Prose text={say.lead} />}
      aside={
        mayChange && (
          <Button kind="small" onClick={() => setMaking(true)}>
            <Icon name="plus" size={16} /> {say.create}
          </Button>
        )
      }
    >
      {value === undefined && <Unanswered error={error} />}
      {value?.tokens.length === 0 && <p className="soft">{say.none}</p>}
      {valid.length > 0 && <TokenTable caption={say.active} tokens={valid} onRevoke={mayChange ? setRevoking : null} />}
      {past.length > 0 && (
        <details className="more">
          <summary>{say.past(past.length)}</summary>
          <TokenTable caption={say.past(past.length)} tokens={past} onRevoke={null} />
        </details>
      )}
      {isMaking && <NewToken onClose={() => setMaking(false)} />}
      {revoking !== null && <Revoke name={revoking.name} onClose={() => setRevoking(null)} />}
    </Card>
  );
}

interface TokenTableProps {
  caption: string;
  tokens: readonly Token[];
  /** Null where nothing can be revoked. */
  onRevoke: ((token: Token) => void) | null;
}

function TokenTable({ caption, tokens, onRevoke }: TokenTableProps) {
  return (
    <Table
      caption={caption}
      keyOf={({ name, createdAt }) => name + createdAt.toISOString()}
      rows={tokens}
      columns={[
        { title: say.name, cell: ({ name }) => name },
        {
          title: say.role,
          cell: ({ role, groups }) => (
            <>
              {role ?? <span className="soft">{say.everything}</span>}{' '}
              {groups !== null && <span className="quiet small">{administratorWords.limitedTo(groups)}</span>}
            </>
          ),
        },
        {
          title: say.created,
          cell: ({ createdAt, createdBy }) => (
            <>
              <Moment at={createdAt} />
              {createdBy !== null && <span className="quiet small">{say.by(createdBy)}</span>}
            </>
          ),
        },
        {
          title: say.expires,
          cell: ({ expiresAt }) =>
            expiresAt === null ? <span className="soft">{words.never}</span> : <Ago at={expiresAt} />,
        },
        { title: say.state, cell: (token) => <TokenState token={token} /> },
        ...(onRevoke === null
          ? []
          : [
              {
                title: '',
                kind: 'end' as const,
                cell: (token: Token) => (
                  <Button kind="small" onClick={() => onRevoke(token)}>
                    {say.revokeShort}
                    <span className="hidden-text">{say.ofToken(token.name)}</span>
                  </Button>
                ),
              },
            ]),
      ]}
    />
  );
}

function TokenState({ token }: { token: Token }) {
  const end = endOf(token);
  if (end === null) return <Badge tone="good">{say.valid}</Badge>;
  return (
    <span className="row">
      <Badge>{end === token.revokedAt ? say.revoked : say.expired}</Badge>
      <span className="quiet small">
        <Ago at={end} />
      </span>
    </span>
  );
}

/** When it stopped to let anybody in; null while it does. */
function endOf({ revokedAt, expiresAt }: Token): Date | null {
  return revokedAt ?? (expiresAt !== null && expiresAt.getTime() < Date.now() ? expiresAt : null);
}

function Revoke({ name, onClose }: { name: string; onClose: () => void }) {
  return (
    <Confirm
      title={say.revokeQuestion(name)}
      typed={name}
      act={say.revoke}
      command={`bramble token revoke ${shellWord(name)}`}
      onClose={onClose}
      onAct={async (ask) => {
        await ask(tokenOperations.revoke, { params: { name } });
        await refresh(tokenOperations.list);
      }}
    >
      <p>{say.revokeCost}</p>
    </Confirm>
  );
}
