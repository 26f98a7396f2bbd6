/** Of whom a second factor is asked: a line above the administrators, and the form that changes it. */
import { useState } from 'react';
import { roleOperations } from '../../../api/roles.ts';
import { type ShownSecondFactorRule, secondFactorOperations } from '../../../api/second-factor.ts';
import { shellWord } from '../../../base/shell-word.ts';
import { refresh, useAnswer } from '../../live/answers.ts';
import { factorRuleWords as say } from '../../messages/access.ts';
import { words } from '../../messages/words.ts';
import { Button } from '../../parts/controls.tsx';
import { Dialog } from '../../parts/dialog.tsx';
import { Choices } from '../../parts/fields.tsx';
import { Form } from '../../parts/form.tsx';
import { Setting, Settings } from '../../parts/settings.tsx';
import { useRight } from '../../session.ts';

export function SecondFactorRule() {
  const { value } = useAnswer(secondFactorOperations.show, {}, { topics: ['events'] });
  const [isOpen, setOpen] = useState(false);
  const mayChange = useRight('access.write');
  if (value === undefined) return null;
  return (
    <div className="above-table">
      <Settings>
        <Setting title={say.title} hint={say.is(value.everybody, value.roles, value.lacking)}>
          {mayChange && (
            <Button kind="small" onClick={() => setOpen(true)}>
              {say.change}
              <span className="hidden-text">{words.ofField(say.title)}</span>
            </Button>
          )}
        </Setting>
      </Settings>
      {isOpen && <ChangeRule rule={value} onClose={() => setOpen(false)} />}
    </div>
  );
}

type Of = 'nobody' | 'roles' | 'everybody';

function ChangeRule({ rule, onClose }: { rule: ShownSecondFactorRule; onClose: () => void }) {
  const roles = useAnswer(roleOperations.list, {}).value?.roles ?? [];
  const [of, setOf] = useState<Of>(rule.everybody ? 'everybody' : rule.roles.length > 0 ? 'roles' : 'nobody');
  const [chosen, setChosen] = useState<readonly string[]>(rule.roles);
  const body = { everybody: of === 'everybody', roles: of === 'roles' ? chosen : [] };
  return (
    <Dialog title={say.question} onClose={onClose}>
      <Form
        act={say.save}
        isReady={of !== 'roles' || chosen.length > 0}
        other={{ text: words.cancel, onClick: onClose }}
        command={commandOf(of, chosen)}
        onSend={async (ask) => {
          await ask(secondFactorOperations.change, { body });
          await refresh(secondFactorOperations.show);
          onClose();
        }}
      >
        <p>{say.lead}</p>
        <Choices
          label={say.of}
          value={of}
          options={[
            { value: 'nobody', text: say.nobody },
            { value: 'everybody', text: say.everybody },
            { value: 'roles', text: say.someRoles },
          ]}
          onChange={(value) => setOf(value as Of)}
        >
          {of === 'roles' && (
            <fieldset className="checks">
              <legend className="hidden-text">{say.roles}</legend>
              {roles.map(({ name }) => (
                <label key={name} className="choice">
                  <input
                    type="checkbox"
                    checked={chosen.includes(name)}
                    onChange={({ target }) =>
                      setChosen(target.checked ? [...chosen, name] : chosen.filter((other) => other !== name))
                    }
                  />
                  {name}
                </label>
              ))}
            </fieldset>
          )}
        </Choices>
      </Form>
    </Dialog>
  );
}

function commandOf(of: Of, roles: readonly string[]): string {
  const flag = of === 'roles' ? `--role ${shellWord(roles.join(',') || 'ROLES')}` : `--${of}`;
  return `bramble administrator second-factor ${flag}`;
}
