/** A token for a program, limited by a role, groups and an end. It is shown once. */
import { useState } from 'react';
import { tokenOperations } from '../../../api/tokens.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh } from '../../live/answers.ts';
import { tokenWords as say } from '../../messages/access.ts';
import { words } from '../../messages/words.ts';
import { Dialog, DialogEnd } from '../../parts/dialog.tsx';
import { useDraft } from '../../parts/draft.ts';
import { SelectField, TextField } from '../../parts/fields.tsx';
import { Form } from '../../parts/form.tsx';
import { ShownOnce } from '../../parts/shown-once.tsx';
import type { Attempt } from '../../parts/work.ts';
import { RoleAndGroups, type Scope, wholeDomain } from './role-and-groups.tsx';

const dayMs = 86_400_000;
const empty = { name: '', role: 'server-only', days: '90', scope: wholeDomain as Scope };

export function NewToken({ onClose }: { onClose: () => void }) {
  const { values, change, drop } = useDraft('token', empty);
  const [token, setToken] = useState<string | null>(null);
  // The same at each attempt: what is sent again is the same request.
  const [openedAt] = useState(Date.now);
  const { name, role, days, scope } = values;
  const end = (): void => {
    drop();
    onClose();
  };
  const send: Attempt = async (ask) => {
    const body = {
      ...{ name, role },
      ...(scope.isLimited ? { groups: scope.groups } : {}),
      ...(days === '' ? {} : { expiresAt: new Date(openedAt + Number(days) * dayMs).toISOString() }),
    };
    setToken((await ask(tokenOperations.create, { body })).token);
    drop();
    await refresh(tokenOperations.list);
  };
  if (token !== null) {
    return (
      <Dialog title={say.made(name)} onClose={onClose}>
        <div className="form">
          <ShownOnce text={token} what={say.theToken} warning={say.madeWarning} />
          <DialogEnd onClose={onClose} />
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title={say.create} onClose={onClose}>
      <Form
        act={say.create}
        isReady={!scope.isLimited || scope.groups.length > 0}
        other={{ text: words.cancel, onClick: end }}
        command={commandOf(values)}
        onSend={send}
      >
        <TextField
          label={say.name}
          name="name"
          hint={say.nameHint}
          value={name}
          onChange={(typed) => change({ name: typed })}
        />
        <RoleAndGroups
          role={role}
          scope={scope}
          onRole={(chosen) => change({ role: chosen })}
          onScope={(chosen) => change({ scope: chosen })}
        />
        <SelectField
          label={say.validFor}
          name="expiresAt"
          value={days}
          options={say.spans.map(({ days: value, text }) => ({ value, text }))}
          onChange={(chosen) => change({ days: chosen })}
        />
      </Form>
    </Dialog>
  );
}

function commandOf({ name, role, days, scope }: typeof empty): string {
  return [
    `bramble token create ${shellWord(name || 'NAME')} --role ${shellWord(role)}`,
    ...(scope.isLimited ? [`--group ${shellWord(scope.groups.join(','))}`] : []),
    ...(days === '' ? [] : [`--expires ${days}d`]),
  ].join(' ');
}
