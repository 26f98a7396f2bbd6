/** An invitation for a new administrator: a link, shown once. */
import { useState } from 'react';
import { administratorOperations } from '../../../api/administrators.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh } from '../../live/answers.ts';
import { administratorWords as say } from '../../messages/access.ts';
import { setUpWords } from '../../messages/sign-in.ts';
import { words } from '../../messages/words.ts';
import { Dialog, DialogEnd } from '../../parts/dialog.tsx';
import { useDraft } from '../../parts/draft.ts';
import { TextField } from '../../parts/fields.tsx';
import { Form } from '../../parts/form.tsx';
import { ShownOnce } from '../../parts/shown-once.tsx';
import { dayAndClock } from '../../parts/times.tsx';
import type { Attempt } from '../../parts/work.ts';
import { RoleAndGroups, type Scope, wholeDomain } from './role-and-groups.tsx';

export interface Invitation {
  readonly code: string;
  readonly expiresAt: Date;
}

const empty = { name: '', displayName: '', role: 'junior-helpdesk', scope: wholeDomain as Scope };

export function InviteAdministrator({ onClose }: { onClose: () => void }) {
  const { values, change, drop } = useDraft('invitation', empty);
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  const { name, displayName, role, scope } = values;
  const groups = scope.isLimited ? scope.groups : null;
  const end = (): void => {
    drop();
    onClose();
  };
  const send: Attempt = async (ask) => {
    setInvitation(await ask(administratorOperations.create, { body: { name, displayName, role, groups } }));
    drop();
    await refresh(administratorOperations.list);
  };
  if (invitation !== null) {
    return (
      <Dialog title={say.invited(name)} onClose={onClose}>
        <InvitationLink name={name} invitation={invitation} onClose={onClose} />
      </Dialog>
    );
  }
  return (
    <Dialog title={say.add} onClose={onClose}>
      <Form
        act={say.invite}
        isReady={groups === null || groups.length > 0}
        other={{ text: words.cancel, onClick: end }}
        command={commandOf(values)}
        onSend={send}
      >
        <TextField label={say.name} name="name" value={name} onChange={(typed) => change({ name: typed })} />
        <TextField
          label={words.fullName}
          name="displayName"
          hint={setUpWords.fullNameHint}
          isOptional
          maxLength={200}
          value={displayName}
          onChange={(typed) => change({ displayName: typed })}
        />
        <RoleAndGroups
          role={role}
          scope={scope}
          onRole={(chosen) => change({ role: chosen })}
          onScope={(chosen) => change({ scope: chosen })}
        />
      </Form>
    </Dialog>
  );
}

function commandOf({ name, displayName, role, scope }: typeof empty): string {
  return [
    `bramble administrator add ${shellWord(name || 'NAME')} --role ${shellWord(role)}`,
    ...(displayName === '' ? [] : [`--display-name ${shellWord(displayName)}`]),
    ...(scope.isLimited ? [`--group ${shellWord(scope.groups.join(','))}`] : []),
  ].join(' ');
}

/** With which one chooses a password. */
export function InvitationLink({
  name,
  invitation,
  onClose,
}: {
  name: string;
  invitation: Invitation;
  onClose: () => void;
}) {
  return (
    <div className="form">
      <p>{say.sendLink(name, dayAndClock(invitation.expiresAt))}</p>
      <ShownOnce text={`${location.origin}/#code=${invitation.code}`} what={say.theLink} />
      <DialogEnd onClose={onClose} />
    </div>
  );
}
