/** Who gets which role at an OpenID provider: rules, of which the first that matches decides. */
import { providerWords as say } from '../../messages/providers.ts';
import { Button } from '../../parts/controls.tsx';
import { TextField } from '../../parts/fields.tsx';
import { RoleAndGroups, type Scope, wholeDomain } from './role-and-groups.tsx';

export interface Rule {
  /** Of the form only: what stays the same while rules come and go. */
  readonly key: number;
  readonly value: string;
  readonly role: string;
  readonly scope: Scope;
}

export const newRule = (key: number): Rule => ({ key, value: '', role: 'junior-helpdesk', scope: wholeDomain });

interface ProviderRulesProps {
  rules: readonly Rule[];
  onChange: (rules: Rule[]) => void;
}

export function ProviderRules({ rules, onChange }: ProviderRulesProps) {
  return (
    <fieldset className="rules">
      <legend>{say.rules}</legend>
      <p className="hint">{say.rulesHint}</p>
      {rules.map((rule, index) => (
        <RuleFields
          key={rule.key}
          rule={rule}
          number={index + 1}
          onChange={(changed) => onChange(rules.map((other) => (other === rule ? changed : other)))}
          onRemove={() => onChange(rules.filter((other) => other !== rule))}
        />
      ))}
      <Button
        kind="small"
        onClick={() => onChange([...rules, newRule(1 + Math.max(-1, ...rules.map(({ key }) => key)))])}
      >
        {say.addRule}
      </Button>
    </fieldset>
  );
}

interface RuleFieldsProps {
  rule: Rule;
  number: number;
  onChange: (rule: Rule) => void;
  onRemove: () => void;
}

function RuleFields({ rule, number, onChange, onRemove }: RuleFieldsProps) {
  return (
    <fieldset className="rule">
      <legend>{say.rule(number)}</legend>
      <div className="pair">
        <TextField
          label={say.value}
          name={`value-${rule.key}`}
          maxLength={300}
          value={rule.value}
          onChange={(value) => onChange({ ...rule, value })}
        />
        <div className="stack-tight">
          <RoleAndGroups
            role={rule.role}
            scope={rule.scope}
            onRole={(role) => onChange({ ...rule, role })}
            onScope={(scope) => onChange({ ...rule, scope })}
          />
        </div>
      </div>
      <Button kind="plain" onClick={onRemove}>
        {say.removeRule}
        <span className="hidden-text">{say.ofRule(number)}</span>
      </Button>
    </fieldset>
  );
}
