/** What an OpenID provider is asked, and what its answers mean: who gets which role. */
import { useState } from 'react';
import { returnPathOf } from '../../../api/openid.ts';
import { openidProviderOperations, type ProviderView } from '../../../api/openid-providers.ts';
import { refresh } from '../../live/answers.ts';
import { providerWords as say } from '../../messages/providers.ts';
import { setUpWords } from '../../messages/sign-in.ts';
import { words } from '../../messages/words.ts';
import { Dialog } from '../../parts/dialog.tsx';
import { useDraft } from '../../parts/draft.ts';
import { PasswordField, TextField } from '../../parts/fields.tsx';
import { FileTextField } from '../../parts/file-field.tsx';
import { Form } from '../../parts/form.tsx';
import { Prose } from '../../parts/prose.tsx';
import { newRule, ProviderRules, type Rule } from './provider-rules.tsx';
import { wholeDomain } from './role-and-groups.tsx';

interface Values {
  readonly name: string;
  readonly title: string;
  readonly issuer: string;
  readonly clientId: string;
  readonly claim: string;
  readonly nameClaim: string;
  readonly asksFactor: boolean;
  /** Empty: as the system trusts. */
  readonly caPem: string;
  readonly rules: readonly Rule[];
}

const empty: Values = {
  ...{
    name: '',
    title: '',
    issuer: '',
    clientId: '',
    claim: 'groups',
    nameClaim: 'preferred_username',
    caPem: '',
    asksFactor: false,
  },
  rules: [newRule(0)],
};

export function NewProvider({ onClose, onMade }: { onClose: () => void; onMade: (name: string) => void }) {
  const { values, change, drop } = useDraft('provider', empty);
  const [secret, setSecret] = useState('');
  const { name, title, issuer } = values;
  return (
    <Dialog title={say.add} isWide onClose={onClose}>
      <Form
        act={say.add}
        isReady={isComplete(values)}
        other={{
          text: words.cancel,
          onClick: () => {
            drop();
            onClose();
          },
        }}
        onSend={async (ask) => {
          const body = { name, issuer, ...settingsOf(values), ...(secret === '' ? {} : { secret }) };
          await ask(openidProviderOperations.add, { body });
          await refresh(openidProviderOperations.list);
          drop();
          onMade(name);
        }}
      >
        <div className="pair">
          <TextField
            label={say.shownTitle}
            name="title"
            maxLength={60}
            value={title}
            onChange={(typed) => change({ title: typed })}
          />
          <TextField
            label={say.name}
            name="name"
            hint={name === '' ? say.nameHint : say.nameGives(location.origin + returnPathOf(name))}
            maxLength={40}
            value={name}
            onChange={(typed) => change({ name: typed })}
          />
        </div>
        <TextField
          label={say.issuer}
          name="issuer"
          hint={say.issuerHint}
          maxLength={500}
          value={issuer}
          onChange={(typed) => change({ issuer: typed })}
        />
        <Settings values={values} change={change} secret={secret} onSecret={setSecret} hasSecret={false} />
      </Form>
    </Dialog>
  );
}

export function ChangeProvider({
  one,
  onClose,
  onBack,
}: {
  one: ProviderView;
  onClose: () => void;
  onBack: () => void;
}) {
  const { name } = one;
  const { values, change, drop } = useDraft<Values>(`provider:${name}`, {
    ...one,
    caPem: one.caPem ?? '',
    rules: one.rules.map(({ groups, ...rule }, key) => ({
      ...rule,
      key,
      scope: groups === null ? wholeDomain : { isLimited: true, groups },
    })),
  });
  const [secret, setSecret] = useState('');
  const back = (): void => {
    drop();
    onBack();
  };
  return (
    <Dialog title={say.changeTitle(one.title)} isWide onClose={onClose}>
      <Form
        act={say.save}
        isReady={isComplete(values)}
        other={{ text: words.back, onClick: back }}
        onSend={async (ask) => {
          const body = { ...settingsOf(values), ...(secret === '' ? {} : { secret }) };
          await ask(openidProviderOperations.change, { params: { name }, body });
          await refresh(openidProviderOperations.list);
          back();
        }}
      >
        <TextField
          label={say.shownTitle}
          name="title"
          maxLength={60}
          value={values.title}
          onChange={(typed) => change({ title: typed })}
        />
        <Settings values={values} change={change} secret={secret} onSecret={setSecret} hasSecret={one.hasSecret} />
        <p className="small soft">{say.saveCost}</p>
      </Form>
    </Dialog>
  );
}

function settingsOf({ title, clientId, claim, nameClaim, caPem, asksFactor, rules }: Values) {
  return {
    ...{ title, clientId, claim, nameClaim, caPem: caPem === '' ? null : caPem, asksFactor },
    rules: rules.map(({ value, role, scope }) => ({ value, role, groups: scope.isLimited ? scope.groups : null })),
  };
}

function isComplete({ rules }: Values): boolean {
  return rules.every(({ scope }) => !scope.isLimited || scope.groups.length > 0);
}

interface SettingsProps {
  values: Values;
  change: (change: Partial<Values>) => void;
  secret: string;
  onSecret: (secret: string) => void;
  hasSecret: boolean;
}

function Settings({ values, change, secret, onSecret, hasSecret }: SettingsProps) {
  const { clientId, claim, nameClaim, caPem, asksFactor, rules } = values;
  return (
    <>
      <div className="pair">
        <TextField
          label={say.clientId}
          name="clientId"
          maxLength={500}
          value={clientId}
          onChange={(typed) => change({ clientId: typed })}
        />
        <PasswordField
          label={say.secret}
          name="secret"
          hint={hasSecret ? say.secretKept : say.secretHint}
          isOptional
          isOfOthers
          value={secret}
          onChange={onSecret}
        />
        <TextField
          label={say.claim}
          name="claim"
          hint={say.claimHint}
          maxLength={200}
          value={claim}
          onChange={(typed) => change({ claim: typed })}
        />
        <TextField
          label={say.nameClaim}
          name="nameClaim"
          hint={say.nameClaimHint}
          maxLength={200}
          value={nameClaim}
          onChange={(typed) => change({ nameClaim: typed })}
        />
      </div>
      <div className="stack-tight">
        <label className="choice">
          <input
            type="checkbox"
            checked={asksFactor}
            onChange={({ target }) => change({ asksFactor: target.checked })}
          />
          {say.asksFactor}
        </label>
        <p className="hint">
          <Prose text={say.asksFactorHint} />
        </p>
      </div>
      <FileTextField
        label={say.ca}
        name="caPem"
        hint={say.caHint}
        placeholder={setUpWords.pemPlaceholder}
        isOptional
        value={caPem}
        onChange={(typed) => change({ caPem: typed })}
      />
      <ProviderRules rules={rules} onChange={(changed) => change({ rules: changed })} />
    </>
  );
}
