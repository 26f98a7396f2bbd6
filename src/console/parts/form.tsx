/**
 * The one form. It is sent once at a time; a refusal that names a field is shown at that field, which gets the keyboard, any
 * other above the buttons; and where the service asks for a proof of who is there, the form asks for it and goes on.
 *
 * Invariants: whatever the answer is, nothing that was typed is lost. Where there is none, sending it again is no second change.
 */
import { type ReactNode, type RefObject, useEffect, useRef, useState } from 'react';
import type { AnsweredError } from '../../api/exchange.ts';
import type { ErrorCode } from '../../base/error-codes.ts';
import { isBrambleError } from '../../base/errors.ts';
import { words } from '../messages/words.ts';
import { noteUnsaved } from '../unsaved.ts';
import { Button, CopyText, Failure } from './controls.tsx';
import { FaultContext } from './fault.ts';
import { ProofFields, useProof } from './proof.tsx';
import { type Attempt, useWork } from './work.ts';

interface FormProps {
  /** On the button that sends it. */
  act: string;
  /** The same while it is sent. */
  busyAct?: string;
  danger?: boolean;
  /** @throws what is shown as a failure */
  onSend: Attempt;
  /** A second button: gives up, goes back, or puts off. */
  other?: { readonly text: string; readonly onClick: () => void };
  /** Whether it can be sent. */
  isReady?: boolean;
  /** What does the same in a shell, without secrets. */
  command?: string;
  /** Buttons as wide as the form. */
  isWide?: boolean;
  children?: ReactNode;
}

export function Form(props: FormProps) {
  const { act, busyAct = act, danger = false, onSend, other, isReady = true, command, isWide, children } = props;
  const form = useRef<HTMLFormElement>(null);
  const { busy, fault, proof, send } = useSending(form, onSend);
  const noteInUse = useUnsaved();
  const asksProof = isBrambleError(fault?.error, 'ERR_PROOF_NEEDED');
  return (
    <form
      ref={form}
      className="form"
      onInput={noteInUse}
      onSubmit={(event) => {
        event.preventDefault();
        noteInUse();
        if (isReady) send();
      }}
    >
      <FaultContext value={fault}>
        {children}
        {proof.isAsked && <ProofFields proof={proof} onProven={send} />}
      </FaultContext>
      {fault?.field === null && !asksProof && <Failure error={fault.error} />}
      {command !== undefined && (
        <details className="as-command">
          <summary>{words.asCommand}</summary>
          <CopyText text={command} what={words.theCommand} />
        </details>
      )}
      <div className={isWide ? 'actions wide' : 'actions'}>
        {other !== undefined && <Button onClick={other.onClick}>{other.text}</Button>}
        <Button kind={danger ? 'danger' : 'main'} submits busy={busy || !isReady}>
          {busy ? busyAct : act}
        </Button>
      </div>
    </form>
  );
}

function useSending(form: RefObject<HTMLFormElement | null>, onSend: Attempt) {
  const proof = useProof();
  const [field, setField] = useState<string | null>(null);
  const { busy, error, work } = useWork(async (ask) => {
    try {
      await proof.give();
      await onSend(ask).catch((failure: unknown) => {
        proof.setAsked(isBrambleError(failure, 'ERR_PROOF_NEEDED'));
        throw failure;
      });
      proof.setAsked(false);
    } catch (failure) {
      const named = shownFieldOf(failure, form.current);
      setField(named?.name ?? null);
      named?.focus();
      throw failure;
    }
  });
  return { busy, fault: error === null ? null : { field, error }, proof, send: work };
}

/** Codes that are always about one field. */
const fieldsOfCodes: Partial<Record<ErrorCode, string>> = {
  ERR_NAME: 'name',
  ERR_NAME_TAKEN: 'name',
  ERR_ACCOUNT_NAME: 'name',
  ERR_PASSWORD_RULES: 'password',
};

/** The field that a refusal names, if the form has it. */
function shownFieldOf(error: unknown, form: HTMLFormElement | null): HTMLInputElement | null {
  if (!isBrambleError(error)) return null;
  const { field } = (error as AnsweredError).details;
  const name = typeof field === 'string' ? field.replace(/^body\./, '').split('.')[0] : fieldsOfCodes[error.code];
  const found = name === undefined ? null : form?.elements.namedItem(name);
  return found instanceof HTMLElement ? (found as HTMLInputElement) : null;
}

/** From the first letter, or from when it is sent, until it is gone: so long the page is not replaced by itself. */
function useUnsaved(): () => void {
  const key = useRef({});
  useEffect(() => {
    const { current } = key;
    return () => noteUnsaved(current, false);
  }, []);
  return () => noteUnsaved(key.current, true);
}
