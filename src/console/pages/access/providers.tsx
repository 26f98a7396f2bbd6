/** OpenID providers at which administrators sign in, and who gets which role there. */
import { useState } from 'react';
import { openidProviderOperations, type ProviderView } from '../../../api/openid-providers.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh, useAnswer } from '../../live/answers.ts';
import type { Ask } from '../../live/contact.ts';
import { accessWords } from '../../messages/access.ts';
import { providerWords as say } from '../../messages/providers.ts';
import { words } from '../../messages/words.ts';
import { Badge, Button, Card, CopyText, Failure, Notice, Unanswered } from '../../parts/controls.tsx';
import { Dialog, DialogEnd, Question } from '../../parts/dialog.tsx';
import { Icon } from '../../parts/icon.tsx';
import { Setting, Settings } from '../../parts/settings.tsx';
import { Table } from '../../parts/table.tsx';
import { useWork } from '../../parts/work.ts';
import { useRight } from '../../session.ts';
import { ChangeProvider, NewProvider } from './provider-form.tsx';

export function Providers() {
  const { value, error } = useAnswer(openidProviderOperations.list, {}, { topics: ['events'] });
  const [isAdding, setAdding] = useState(false);
  const [managed, setManaged] = useState<string | null>(null);
  const mayChange = useRight('access.write');
  const one = value?.providers.find(({ name }) => name === managed);
  return (
    <Card
      title={accessWords.providers}
      lead={say.lead}
      aside={
        mayChange && (
          <Button kind="small" onClick={() => setAdding(true)}>
            <Icon name="plus" size={16} /> {say.add}
          </Button>
        )
      }
    >
      {value === undefined && <Unanswered error={error} />}
      {value?.providers.length === 0 && <p className="soft">{say.none}</p>}
      {value !== undefined && value.providers.length > 0 && (
        <ProviderTable providers={value.providers} onManage={mayChange ? setManaged : null} />
      )}
      {isAdding && (
        <NewProvider
          onClose={() => setAdding(false)}
          onMade={(name) => {
            setAdding(false);
            setManaged(name);
          }}
        />
      )}
      {one !== undefined && <ManageProvider one={one} onClose={() => setManaged(null)} />}
    </Card>
  );
}

interface ProviderTableProps {
  providers: readonly ProviderView[];
  onManage: ((name: string) => void) | null;
}

function ProviderTable({ providers, onManage }: ProviderTableProps) {
  return (
    <Table
      caption={accessWords.providers}
      keyOf={({ name }) => name}
      rows={providers}
      columns={[
        { title: say.title, cell: ({ title }) => title },
        { title: say.issuer, cell: ({ issuer }) => issuer },
        { title: say.roles, cell: ({ rules }) => say.rolesOf(rules.map(({ role }) => role)) },
        { title: say.administrators, cell: ({ administrators }) => administrators },
        {
          title: say.state,
          cell: ({ enabled }) => (
            <Badge tone={enabled ? 'good' : 'quiet'}>{enabled ? say.enabled : say.disabled}</Badge>
          ),
        },
        {
          title: '',
          kind: 'end',
          cell: ({ name, title }) =>
            onManage !== null && (
              <Button kind="small" aria-label={say.manageOne(title)} onClick={() => onManage(name)}>
                {say.manage}
              </Button>
            ),
        },
      ]}
    />
  );
}

function ManageProvider({ one, onClose }: { one: ProviderView; onClose: () => void }) {
  const [act, setAct] = useState<'change' | 'switch' | 'remove' | null>(null);
  const back = (): void => setAct(null);
  const { name, title, enabled, administrators } = one;
  const change = async (ask: Ask, body: { enabled: boolean }): Promise<void> => {
    await ask(openidProviderOperations.change, { params: { name }, body });
    await refresh(openidProviderOperations.list);
    back();
  };
  if (act === 'change') return <ChangeProvider one={one} onClose={onClose} onBack={back} />;
  if (act === 'switch') {
    return (
      <Dialog title={enabled ? say.disableQuestion(title) : say.enableQuestion(title)} onClose={onClose}>
        <Question
          act={enabled ? say.disable : say.enable}
          danger={enabled}
          onCancel={back}
          onAct={async (ask) => await change(ask, { enabled: !enabled })}
        >
          <p>{enabled ? say.disableCost(administrators) : say.enableCost}</p>
        </Question>
      </Dialog>
    );
  }
  if (act === 'remove') {
    return (
      <Dialog title={say.removeQuestion(title)} onClose={onClose}>
        <Question
          act={say.remove}
          typed={name}
          command={`bramble openid-provider remove ${shellWord(name)}`}
          onCancel={back}
          onAct={async (ask) => {
            await ask(openidProviderOperations.remove, { params: { name } });
            onClose();
            await refresh(openidProviderOperations.list);
          }}
        >
          <p>{say.removeCost(administrators)}</p>
        </Question>
      </Dialog>
    );
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <div className="form">
        <Settings>
          <Setting title={say.redirect} hint={say.redirectHint} />
        </Settings>
        <CopyText text={location.origin + one.returnPath} what={say.theRedirect} />
        <Test name={name} />
        <Settings>
          <Setting title={say.settings} hint={one.issuer}>
            <Button kind="small" onClick={() => setAct('change')}>
              {say.change}
            </Button>
          </Setting>
          <Setting
            title={say.state}
            state={<Badge tone={enabled ? 'good' : 'quiet'}>{enabled ? say.enabled : say.disabled}</Badge>}
          >
            <Button kind="small" onClick={() => setAct('switch')}>
              {enabled ? say.disable : say.enable}
            </Button>
          </Setting>
          <Setting title={say.removeTitle} hint={say.removeHint}>
            <Button kind="small" onClick={() => setAct('remove')}>
              {say.removeShort}
            </Button>
          </Setting>
        </Settings>
        <DialogEnd text={words.close} onClose={onClose} />
      </div>
    </Dialog>
  );
}

/** What the provider says of itself. */
function Test({ name }: { name: string }) {
  const [answer, setAnswer] = useState<{ usable: boolean; answer: string } | null>(null);
  const { busy, error, work } = useWork(async (ask) => {
    setAnswer(await ask(openidProviderOperations.test, { params: { name } }));
  });
  return (
    <div className="stack-tight">
      <div className="row">
        <Button kind="small" busy={busy} onClick={work}>
          {busy ? say.testing : say.test}
        </Button>
      </div>
      <Failure error={error} />
      {answer !== null && <Notice tone={answer.usable ? 'good' : 'bad'}>{answer.answer}</Notice>}
    </div>
  );
}
