/** A password, which can be looked at. A new one is as long as its rule says, and nothing else is asked of it. */
import { useState } from 'react';
import { Button, Field } from './controls.tsx';

interface PasswordFieldProps {
  label: string;
  value: string;
  isNew?: boolean;
  onChange: (value: string) => void;
}

const leastPasswordLength = 12;

export function PasswordField({ label, value, isNew = false, onChange }: PasswordFieldProps) {
  const [isShown, setShown] = useState(false);
  return (
    <Field
      label={label}
      {...(isNew ? { hint: `At least ${leastPasswordLength} characters; a sentence is fine.` } : {})}
    >
      {(attributes) => (
        <span className="with-button">
          <input
            {...attributes}
            type={isShown ? 'text' : 'password'}
            autoComplete={isNew ? 'new-password' : 'current-password'}
            required
            minLength={isNew ? leastPasswordLength : undefined}
            maxLength={1000}
            spellCheck={false}
            value={value}
            onChange={(event) => onChange(event.target.value)}
          />
          <Button kind="plain" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
            {isShown ? 'Hide' : 'Show'}
            <span className="hidden-text"> {label.toLowerCase()}</span>
          </Button>
        </span>
      )}
    </Field>
  );
}
