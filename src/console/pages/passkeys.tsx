/** One's own passkeys: listed, added, removed. */
import { useState } from 'react';
import type { AnswerOf } from '../../api/operation.ts';
import { passkeyOperations } from '../../api/passkeys.ts';
import { refresh, useAnswer } from '../live/answers.ts';
import { ownWords as say } from '../messages/own-sign-in.ts';
import { words } from '../messages/words.ts';
import { Button, Card, Unanswered } from '../parts/controls.tsx';
import { Confirm, Dialog } from '../parts/dialog.tsx';
import { useDraft } from '../parts/draft.ts';
import { TextField } from '../parts/fields.tsx';
import { Form } from '../parts/form.tsx';
import { Icon } from '../parts/icon.tsx';
import { Table } from '../parts/table.tsx';
import { Ago, Moment } from '../parts/times.tsx';
import { addPasskey } from '../passkeys.ts';

type Passkey = AnswerOf<typeof passkeyOperations.list>['passkeys'][number];

export function Passkeys() {
  const { value, error } = useAnswer(passkeyOperations.list, {}, { topics: ['events'] });
  const [isAdding, setAdding] = useState(false);
  const [removing, setRemoving] = useState<Passkey | null>(null);
  return (
    <Card
      title={say.passkeys}
      lead={say.passkeysHint}
      aside={
        <Button kind="small" onClick={() => setAdding(true)}>
          <Icon name="plus" size={16} /> {say.addPasskey}
        </Button>
      }
    >
      {value === undefined && <Unanswered error={error} />}
      {value !== undefined && value.passkeys.length > 0 && (
        <Table
          caption={say.passkeys}
          keyOf={({ id }) => id}
          rows={value.passkeys}
          columns={[
            { title: say.passkey, cell: ({ name }) => name },
            { title: say.host, cell: ({ host }) => host },
            { title: say.added, cell: ({ createdAt }) => <Moment at={createdAt} /> },
            {
              title: say.lastUsed,
              cell: ({ usedAt }) =>
                usedAt === null ? <span className="quiet">{words.never}</span> : <Ago at={usedAt} />,
            },
            {
              title: '',
              kind: 'end',
              cell: (passkey) => (
                <Button kind="small" onClick={() => setRemoving(passkey)}>
                  {say.removeShort}
                  <span className="hidden-text">{say.ofPasskey(passkey.name)}</span>
                </Button>
              ),
            },
          ]}
        />
      )}
      {isAdding && <AddPasskey onClose={() => setAdding(false)} />}
      {removing !== null && (
        <Confirm
          title={say.removePasskeyQuestion(removing.name)}
          act={say.removePasskey}
          onClose={() => setRemoving(null)}
          onAct={async (ask) => {
            await ask(passkeyOperations.remove, { params: { id: removing.id } });
            await refresh(passkeyOperations.list);
          }}
        >
          <p>{say.removePasskeyCost}</p>
        </Confirm>
      )}
    </Card>
  );
}

export function AddPasskey({ onClose }: { onClose: () => void }) {
  const { values, change, drop } = useDraft('passkey', { name: '' });
  const end = (): void => {
    drop();
    onClose();
  };
  return (
    <Dialog title={say.addPasskey} onClose={onClose}>
      <Form
        act={say.addPasskeyDo}
        other={{ text: words.cancel, onClick: end }}
        onSend={async () => {
          await addPasskey(values.name);
          await refresh(passkeyOperations.list);
          end();
        }}
      >
        <p>{say.addPasskeyLead(location.hostname)}</p>
        <TextField
          label={say.passkeyName}
          name="name"
          hint={say.passkeyNameHint}
          value={values.name}
          onChange={(name) => change({ name })}
        />
      </Form>
    </Dialog>
  );
}
