/** A text that is pasted, dropped, or read from a file. */
import { type ChangeEvent, type DragEvent, useId } from 'react';
import { words } from '../messages/words.ts';
import { Field } from './controls.tsx';
import { useFault } from './fault.ts';

interface FileTextFieldProps {
  label: string;
  name: string;
  placeholder: string;
  hint?: string;
  isOptional?: boolean;
  value: string;
  onChange: (value: string) => void;
}

const maxLength = 100_000;

export function FileTextField(props: FileTextFieldProps) {
  const { label, name, placeholder, hint, isOptional = false, value, onChange } = props;
  const file = useId();
  const read = async (from: FileList | null): Promise<void> => {
    const text = await from?.[0]?.text();
    if (text !== undefined) onChange(text.slice(0, maxLength));
  };
  const drop = (event: DragEvent): void => {
    if (event.dataTransfer.files.length === 0) return;
    event.preventDefault();
    void read(event.dataTransfer.files);
  };
  return (
    <Field label={label} hint={hint} fault={useFault(name)}>
      {(attributes) => (
        <>
          <textarea
            {...attributes}
            name={name}
            required={!isOptional}
            spellCheck={false}
            autoComplete="off"
            maxLength={maxLength}
            placeholder={placeholder}
            value={value}
            onDrop={drop}
            onChange={(event) => onChange(event.target.value)}
          />
          <span className="file">
            <input
              type="file"
              id={file}
              className="hidden-text"
              aria-label={words.fileOf(label)}
              onChange={(event: ChangeEvent<HTMLInputElement>) => void read(event.target.files)}
            />
            <label className="button" data-kind="small" htmlFor={file} aria-hidden="true">
              {words.chooseFile}
            </label>
          </span>
        </>
      )}
    </Field>
  );
}
