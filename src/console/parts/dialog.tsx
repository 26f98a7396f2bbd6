/** A question before everything else, by the browser's own dialog: it holds the keyboard, and Escape closes it. */
import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { Button, Failure, Field } from './controls.tsx';
import { ProofField, useProof } from './proof.tsx';

export function Dialog({ title, onClose, children }: { title: string; onClose: () => void; children: ReactNode }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    element?.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <h2 id={id}>{title}</h2>
      {children}
    </dialog>
  );
}

interface ConfirmProps {
  title: string;
  /** What will happen, with its cost. */
  children: ReactNode;
  /** What has to be typed before it can be confirmed, for what cannot be undone. */
  typed?: string;
  act: string;
  onAct: () => Promise<void>;
  onClose: () => void;
}

export function Confirm({ title, children, typed, act, onAct, onClose }: ConfirmProps) {
  const [text, setText] = useState('');
  const proof = useProof();
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const isReady = typed === undefined || text === typed;
  const confirm = async (): Promise<void> => {
    if (!isReady) return;
    setBusy(true);
    try {
      await proof.give();
      await onAct();
      onClose();
    } catch (failure) {
      setError(failure as Error);
      setBusy(false);
    }
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        className="form"
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
      >
        <div className="stack-tight">{children}</div>
        {typed !== undefined && (
          <Field label={`Type “${typed}” to confirm`}>
            {(attributes) => (
              <input
                {...attributes}
                autoComplete="off"
                spellCheck={false}
                value={text}
                onChange={(event) => setText(event.target.value)}
              />
            )}
          </Field>
        )}
        <ProofField proof={proof} error={error} />
        <Failure error={error} />
        <div className="actions">
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="danger" submits busy={busy || !isReady}>
            {act}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
