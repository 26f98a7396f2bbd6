/** What forms ask for: one line, a choice, a password, a code. What is wrong with a field is said under it. */
import { type ReactNode, useId, useState } from 'react';
import { words } from '../messages/words.ts';
import { Button, Field } from './controls.tsx';
import { useFault } from './fault.ts';

interface TextFieldProps {
  label: string;
  /** As the request calls it. */
  name: string;
  hint?: string | undefined;
  value: string;
  onChange: (value: string) => void;
  maxLength?: number;
  isOptional?: boolean;
  takesFocus?: boolean;
  /** What a browser may fill in. */
  autoComplete?: string;
}

export function TextField(props: TextFieldProps) {
  const { label, name, hint, value, onChange, maxLength = 100, isOptional = false, takesFocus, autoComplete } = props;
  return (
    <Field label={label} hint={hint} fault={useFault(name)}>
      {(attributes) => (
        <input
          {...attributes}
          name={name}
          autoComplete={autoComplete ?? 'off'}
          autoCapitalize={isOptional ? undefined : 'none'}
          spellCheck={false}
          required={!isOptional}
          maxLength={maxLength}
          // biome-ignore lint/a11y/noAutofocus: where the form is what the page or the dialog is for
          autoFocus={takesFocus}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

interface SelectFieldProps {
  label: string;
  name: string;
  hint?: string | undefined;
  value: string;
  onChange: (value: string) => void;
  options: readonly { readonly value: string; readonly text: string }[];
}

export function SelectField({ label, name, hint, value, onChange, options }: SelectFieldProps) {
  return (
    <Field label={label} hint={hint} fault={useFault(name)}>
      {(attributes) => (
        <select {...attributes} name={name} value={value} onChange={(event) => onChange(event.target.value)}>
          {options.map((option) => (
            <option key={option.value} value={option.value}>
              {option.text}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

const leastPasswordLength = 12;

interface PasswordFieldProps {
  label: string;
  name?: string;
  value: string;
  onChange: (value: string) => void;
  isNew?: boolean;
  takesFocus?: boolean;
  hint?: string;
  isOptional?: boolean;
  /** Not of who types it: no password manager keeps it. */
  isOfOthers?: boolean;
}

/** It can be looked at. A new one is as long as its rule says, and nothing else is asked of it. */
export function PasswordField(props: PasswordFieldProps) {
  const { label, name = 'password', value, onChange, isNew = false, takesFocus, isOptional = false } = props;
  const { hint = isNew ? words.newPasswordRule(leastPasswordLength) : undefined, isOfOthers = false } = props;
  const [isShown, setShown] = useState(false);
  return (
    <Field label={label} hint={hint} fault={useFault(name)}>
      {(attributes) => (
        <span className="with-button">
          <input
            {...attributes}
            name={name}
            type={isShown ? 'text' : 'password'}
            autoComplete={isOfOthers ? 'off' : isNew ? 'new-password' : 'current-password'}
            autoCapitalize="none"
            required={!isOptional}
            minLength={isNew ? leastPasswordLength : undefined}
            maxLength={1000}
            spellCheck={false}
            // biome-ignore lint/a11y/noAutofocus: where it was just asked for
            autoFocus={takesFocus}
            value={value}
            onChange={(event) => onChange(event.target.value)}
          />
          <Button kind="plain" aria-pressed={isShown} onClick={() => setShown(!isShown)}>
            {isShown ? words.hide : words.show}
            <span className="hidden-text">{words.ofField(label)}</span>
          </Button>
        </span>
      )}
    </Field>
  );
}

interface CodeFieldProps {
  value: string;
  hint?: string | undefined;
  onChange: (value: string) => void;
  takesFocus?: boolean;
}

/** The six digits of an authenticator, or one of the codes for when it is lost. */
export function CodeField({ value, hint, onChange, takesFocus = true }: CodeFieldProps) {
  return (
    <Field label={words.code} hint={hint} fault={useFault('code')}>
      {(attributes) => (
        <input
          {...attributes}
          className="input code"
          name="code"
          autoComplete="one-time-code"
          autoCapitalize="none"
          spellCheck={false}
          required
          maxLength={100}
          // biome-ignore lint/a11y/noAutofocus: it was just asked for
          autoFocus={takesFocus}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}

interface ChoicesProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  options: readonly { readonly value: string; readonly text: string }[];
  children?: ReactNode;
}

/** A choice of few, all of which are seen. */
export function Choices({ label, value, onChange, options, children }: ChoicesProps) {
  const name = useId();
  return (
    <fieldset className="field choices">
      <legend>{label}</legend>
      {options.map((option) => (
        <label key={option.value} className="choice">
          <input
            type="radio"
            name={name}
            value={option.value}
            checked={option.value === value}
            onChange={() => onChange(option.value)}
          />
          {option.text}
        </label>
      ))}
      {children}
    </fieldset>
  );
}
