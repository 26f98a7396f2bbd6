/** One administrator, and what can be done to him: each act says first what it costs. */
import { type ReactNode, use, useState } from 'react';
import { administratorOperations } from '../../../api/administrators.ts';
import type { AnswerOf } from '../../../api/operation.ts';
import { signInOperations } from '../../../api/sign-in.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh } from '../../live/answers.ts';
import type { Ask } from '../../live/contact.ts';
import { administratorWords, manageWords as say } from '../../messages/access.ts';
import { frameWords } from '../../messages/frame.ts';
import { words } from '../../messages/words.ts';
import { Badge, Button } from '../../parts/controls.tsx';
import { Dialog, DialogEnd, Question } from '../../parts/dialog.tsx';
import { useDraft } from '../../parts/draft.ts';
import { Form } from '../../parts/form.tsx';
import { Setting, Settings } from '../../parts/settings.tsx';
import { followLink } from '../../place.ts';
import { MeContext } from '../../session.ts';
import { type Invitation, InvitationLink } from './invite-administrator.tsx';
import { RoleAndGroups, type Scope, wholeDomain } from './role-and-groups.tsx';

export type Administrator = AnswerOf<typeof administratorOperations.list>['administrators'][number];

/** What asks, does one thing, and is over; `link` where a one-time code comes of it. */
interface SimpleAct {
  readonly words: {
    readonly do: string;
    readonly question: (name: string) => string;
    readonly cost: (name: string) => string;
  };
  /** Of the command, with `NAME` in the place of the name. */
  readonly command: string;
  readonly work: (ask: Ask, params: { name: string }) => Promise<Invitation | null>;
  readonly isHarmless?: true;
  /** The name has to be typed. */
  readonly isFinal?: true;
}

const acts = {
  password: {
    words: say.password,
    command: 'bramble administrator reset NAME --only password',
    work: async (ask, params) => await ask(administratorOperations.resetPassword, { params }),
  },
  authenticator: {
    words: say.authenticator,
    command: 'bramble administrator reset NAME --only totp',
    work: async (ask, params) => await ask(administratorOperations.removeTotp, { params }),
  },
  passkeys: {
    words: say.passkeys,
    command: 'bramble administrator reset NAME --only passkeys',
    work: async (ask, params) => await ask(administratorOperations.removePasskeys, { params }),
  },
  reset: {
    words: say.reset,
    command: 'bramble administrator reset NAME',
    work: async (ask, params) => await ask(administratorOperations.reset, { params }),
  },
  sessions: {
    words: say.sessions,
    command: 'bramble session end --administrator NAME',
    work: async (ask, params) => await ask(administratorOperations.endSessions, { params }),
  },
  disable: {
    words: say.disable,
    command: 'bramble administrator disable NAME',
    work: async (ask, params) => await ask(administratorOperations.disable, { params }),
  },
  enable: {
    words: say.enable,
    command: 'bramble administrator enable NAME',
    work: async (ask, params) => await ask(administratorOperations.enable, { params }),
    isHarmless: true,
  },
  remove: {
    words: say.remove,
    command: 'bramble administrator remove NAME',
    work: async (ask, params) => await ask(administratorOperations.remove, { params }),
    isFinal: true,
  },
} as const satisfies Readonly<Record<string, SimpleAct>>;
type Act = keyof typeof acts | 'role';

export function ManageAdministrator({ one, onClose }: { one: Administrator; onClose: () => void }) {
  const [act, setAct] = useState<Act | null>(null);
  const isOwn = use(MeContext)?.name === one.name;
  const back = (): void => setAct(null);
  const { name } = one;
  if (act === 'role') {
    return (
      <Dialog title={say.role.of(name)} onClose={onClose}>
        <ChangeRole one={one} onBack={back} />
      </Dialog>
    );
  }
  return (
    <Dialog title={act === null ? one.displayName || name : acts[act].words.question(name)} onClose={onClose}>
      {act !== null ? (
        <DoAct key={act} act={acts[act]} name={name} onBack={back} onEnd={act === 'remove' ? onClose : back} />
      ) : (
        <div className="form">
          {isOwn ? <OwnNote /> : <Acts one={one} onAct={setAct} />}
          <DialogEnd text={words.close} onClose={onClose} />
        </div>
      )}
    </Dialog>
  );
}

/** Whoever changed himself here could lock himself out by mistake. */
function OwnNote() {
  return (
    <p>
      {say.ownNote}{' '}
      <a href="/you" onClick={followLink}>
        {frameWords.yourSignIn}
      </a>
    </p>
  );
}

function Acts({ one, onAct }: { one: Administrator; onAct: (act: Act) => void }) {
  const { role, groups, hasPassword, asksTotp, passkeys, provider, sessions, state } = one;
  const isActive = state === 'active';
  const limit = groups === null ? '' : ` · ${administratorWords.limitedTo(groups)}`;
  const line = (
    act: Act,
    text: { title: string; act: string },
    hint: ReactNode,
    isOffered = true,
    of = words.ofField(text.title),
  ) => (
    <Setting title={text.title} hint={hint}>
      {isOffered && (
        <Button kind="small" onClick={() => onAct(act)}>
          {text.act}
          <span className="hidden-text">{of}</span>
        </Button>
      )}
    </Setting>
  );
  return (
    <Settings>
      {provider === null ? (
        line('role', say.role, role + limit)
      ) : (
        <Setting title={say.role.title} hint={say.role.byProvider(role + limit, provider)} />
      )}
      {provider === null && (
        <>
          {line('password', say.password, hasPassword ? say.password.has : say.password.hasNot, hasPassword)}
          {line(
            'authenticator',
            say.authenticator,
            asksTotp ? say.authenticator.has : say.authenticator.hasNot,
            asksTotp,
          )}
          {line('passkeys', say.passkeys, say.passkeys.has(passkeys), passkeys > 0)}
        </>
      )}
      {line('reset', say.reset, provider === null ? say.reset.hint : administratorWords.signIn(one))}
      {line('sessions', say.sessions, say.sessions.open(sessions), sessions > 0)}
      {line(
        isActive ? 'disable' : 'enable',
        isActive ? say.disable : say.enable,
        <Badge tone={isActive ? 'good' : 'quiet'}>{state}</Badge>,
      )}
      {line('remove', say.remove, say.remove.hint, true, say.remove.of(one.name))}
    </Settings>
  );
}

async function refreshAll(): Promise<void> {
  await refresh(administratorOperations.list, signInOperations.listSessions);
}

interface DoActProps {
  act: SimpleAct;
  name: string;
  onBack: () => void;
  onEnd: () => void;
}

function DoAct({ act, name, onBack, onEnd }: DoActProps) {
  const { words: texts, command, work, isHarmless, isFinal } = act;
  const [invitation, setInvitation] = useState<Invitation | null>(null);
  if (invitation !== null) return <InvitationLink name={name} invitation={invitation} onClose={onBack} />;
  return (
    <Question
      act={texts.do}
      danger={isHarmless !== true}
      {...(isFinal === true ? { typed: name } : {})}
      command={command.replace('NAME', shellWord(name))}
      onCancel={onBack}
      onAct={async (ask) => {
        const made = await work(ask, { name });
        if (made === null) onEnd();
        else setInvitation(made);
        await refreshAll();
      }}
    >
      <p>{texts.cost(name)}</p>
    </Question>
  );
}

function ChangeRole({ one, onBack }: { one: Administrator; onBack: () => void }) {
  const { name } = one;
  const { values, change, drop } = useDraft<{ role: string; scope: Scope }>(`role-of:${name}`, {
    role: one.role,
    scope: one.groups === null ? wholeDomain : { isLimited: true, groups: one.groups },
  });
  const { role, scope } = values;
  const groups = scope.isLimited ? scope.groups : null;
  const limit = groups === null ? '--all-groups' : `--group ${shellWord(groups.join(','))}`;
  const back = (): void => {
    drop();
    onBack();
  };
  return (
    <Form
      act={say.role.save}
      isReady={groups === null || groups.length > 0}
      other={{ text: words.back, onClick: back }}
      command={`bramble administrator set ${shellWord(name)} --role ${shellWord(role)} ${limit}`}
      onSend={async (ask) => {
        await ask(administratorOperations.change, { params: { name }, body: { role, groups } });
        await refreshAll();
        back();
      }}
    >
      <RoleAndGroups
        role={role}
        scope={scope}
        onRole={(chosen) => change({ role: chosen })}
        onScope={(chosen) => change({ scope: chosen })}
      />
      <p className="small soft">{say.role.cost(name)}</p>
    </Form>
  );
}
