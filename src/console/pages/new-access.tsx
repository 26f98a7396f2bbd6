/** New ways in: an invitation for an administrator, a token for a program. Each secret is shown once. */
import { useState } from 'react';
import { administratorOperations } from '../../api/administrators.ts';
import { predefinedRoleNames } from '../../api/rights.ts';
import { roleOperations } from '../../api/roles.ts';
import { tokenOperations } from '../../api/tokens.ts';
import { refresh, useAnswer } from '../live/answers.ts';
import { ask } from '../live/contact.ts';
import { Button, CopyText, Failure, Field, Notice } from '../parts/controls.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { ProofField, useProof } from '../parts/proof.tsx';
import { dayAndClock } from '../parts/times.tsx';
import { useSubmit } from '../submitting.ts';

export function InviteAdministrator({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<string>('junior-helpdesk');
  const [invitation, setInvitation] = useState<{ code: string; expiresAt: Date } | null>(null);
  const proof = useProof();
  const { busy, error, submit } = useSubmit(async () => {
    await proof.give();
    setInvitation(await ask(administratorOperations.create, { body: { name, role } }));
    await refresh(administratorOperations.list);
  });
  if (invitation !== null) {
    return (
      <Dialog title={`${name} can sign in`} onClose={onClose}>
        <div className="form">
          <p>
            Send this link to {name}, and to nobody else: it is good for one use, until{' '}
            {dayAndClock(invitation.expiresAt)}.
          </p>
          <CopyText text={`${location.origin}/#code=${invitation.code}`} what="the link" />
          <Notice tone="warn">It is shown only now.</Notice>
          <Done onClose={onClose} />
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title="Add an administrator" onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <Field label="Name">
          {(attributes) => (
            <input
              {...attributes}
              autoComplete="off"
              autoCapitalize="none"
              spellCheck={false}
              required
              maxLength={100}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <RoleField role={role} onChange={setRole} />
        <ProofField proof={proof} error={error} />
        <Failure error={error} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" submits busy={busy}>
            Make an invitation
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

export function NewToken({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState<string>('server-only');
  const [days, setDays] = useState('90');
  const [token, setToken] = useState<string | null>(null);
  const proof = useProof();
  const { busy, error, submit } = useSubmit(async () => {
    await proof.give();
    const expiresAt = days === '' ? {} : { expiresAt: new Date(Date.now() + Number(days) * 86_400_000).toISOString() };
    setToken((await ask(tokenOperations.create, { body: { name, role, ...expiresAt } })).token);
    await refresh(tokenOperations.list);
  });
  if (token !== null) {
    return (
      <Dialog title={`The token ${name}`} onClose={onClose}>
        <div className="form">
          <CopyText text={token} what="the token" />
          <Notice tone="warn">It is shown only now. Whoever has it may do what the token may.</Notice>
          <Done onClose={onClose} />
        </div>
      </Dialog>
    );
  }
  return (
    <Dialog title="Create a token" onClose={onClose}>
      <form className="form" onSubmit={submit}>
        <Field label="Name" hint="What it is for; the audit names it.">
          {(attributes) => (
            <input
              {...attributes}
              autoComplete="off"
              spellCheck={false}
              required
              maxLength={100}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <RoleField role={role} onChange={setRole} />
        <Field label="Valid for">
          {(attributes) => (
            <select {...attributes} value={days} onChange={(event) => setDays(event.target.value)}>
              <option value="1">a day</option>
              <option value="30">30 days</option>
              <option value="90">90 days</option>
              <option value="365">a year</option>
              <option value="">ever</option>
            </select>
          )}
        </Field>
        <ProofField proof={proof} error={error} />
        <Failure error={error} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="main" submits busy={busy}>
            Create
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** The predefined roles, and those of the domain's own. */
function RoleField({ role, onChange }: { role: string; onChange: (role: string) => void }) {
  const { value } = useAnswer(roleOperations.list, {});
  const names = value?.roles.map(({ name }) => name) ?? predefinedRoleNames;
  return (
    <Field label="Role" hint="What each role may do: docs/roles.md.">
      {(attributes) => (
        <select {...attributes} value={role} onChange={(event) => onChange(event.target.value)}>
          {names.map((name) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      )}
    </Field>
  );
}

function Done({ onClose }: { onClose: () => void }) {
  return (
    <div className="actions">
      <Button kind="main" onClick={onClose}>
        Done
      </Button>
    </div>
  );
}
