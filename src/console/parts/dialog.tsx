/** A question before everything else, by the browser's own dialog: it holds the keyboard, and Escape closes it. */
import { type ReactNode, useEffect, useId, useLayoutEffect, useRef, useState } from 'react';
import { words } from '../messages/words.ts';
import { Button } from './controls.tsx';
import { TextField } from './fields.tsx';
import { Form } from './form.tsx';
import type { Attempt } from './work.ts';

export function Dialog({ title, isWide, onClose, children }: DialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  // Closed before it is gone: whatever had the keyboard before gets it back.
  useLayoutEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  // biome-ignore lint/correctness/useExhaustiveDependencies: with another title it asks something else, and what had the keyboard is gone
  useEffect(() => {
    const element = dialog.current;
    if (element?.contains(document.activeElement)) return;
    element?.querySelector<HTMLElement>('input:not([hidden]), select, textarea, button')?.focus();
  }, [title]);
  return (
    <dialog
      ref={dialog}
      className={isWide ? 'wide' : undefined}
      aria-labelledby={id}
      onClose={({ currentTarget }) => {
        if (currentTarget.isConnected) onClose();
      }}
    >
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface DialogProps {
  title: string;
  isWide?: boolean;
  onClose: () => void;
  children: ReactNode;
}

/** Below what was only to be read. */
export function DialogEnd({ text, onClose }: { text?: string; onClose: () => void }) {
  return (
    <div className="actions">
      {text === words.close ? (
        <Button onClick={onClose}>{text}</Button>
      ) : (
        <Button kind="main" onClick={onClose}>
          {text ?? words.done}
        </Button>
      )}
    </div>
  );
}

interface QuestionProps {
  /** What will happen, with its cost. */
  children: ReactNode;
  /** What has to be typed before it can be confirmed, for what cannot be undone. */
  typed?: string;
  act: string;
  danger?: boolean;
  /** What does the same in a shell. */
  command?: string;
  onAct: Attempt;
  onCancel: () => void;
}

/** What asks before something is done; within a dialog. */
export function Question({ children, typed, act, danger = true, command, onAct, onCancel }: QuestionProps) {
  const [text, setText] = useState('');
  return (
    <Form
      act={act}
      danger={danger}
      {...(command === undefined ? {} : { command })}
      isReady={typed === undefined || text === typed}
      other={{ text: words.cancel, onClick: onCancel }}
      onSend={onAct}
    >
      <div className="stack-tight">{children}</div>
      {typed !== undefined && (
        <TextField label={words.typeToConfirm(typed)} name="typed" maxLength={200} value={text} onChange={setText} />
      )}
    </Form>
  );
}

type ConfirmProps = Omit<QuestionProps, 'onCancel'> & { title: string; onClose: () => void };

export function Confirm({ title, onClose, onAct, ...question }: ConfirmProps) {
  return (
    <Dialog title={title} onClose={onClose}>
      <Question
        {...question}
        onCancel={onClose}
        onAct={async (ask) => {
          await onAct(ask);
          onClose();
        }}
      />
    </Dialog>
  );
}
