/** The six digits of an authenticator, or one of the codes for when it is lost. */
import { Field } from './controls.tsx';

interface CodeFieldProps {
  value: string;
  hint?: string;
  onChange: (value: string) => void;
}

export function CodeField({ value, hint, onChange }: CodeFieldProps) {
  return (
    <Field label="Code" {...(hint === undefined ? {} : { hint })}>
      {(attributes) => (
        <input
          {...attributes}
          className="input code"
          autoComplete="one-time-code"
          autoCapitalize="none"
          spellCheck={false}
          required
          maxLength={100}
          // biome-ignore lint/a11y/noAutofocus: it was just asked for
          autoFocus
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}
