/** What people press, fill in and read: the small parts of every page. */
import { type ComponentProps, type ReactNode, useEffect, useId, useRef, useState } from 'react';
import { useContact } from '../live/contact.ts';
import { words } from '../messages/words.ts';
import { Icon } from './icon.tsx';

export type Tone = 'good' | 'warn' | 'bad' | 'info' | 'quiet';

type ButtonProps = Omit<ComponentProps<'button'>, 'type'> & {
  kind?: 'main' | 'danger' | 'plain' | 'small';
  submits?: boolean;
  /** While what was asked for is under way: it stays where the keyboard is, and does nothing. */
  busy?: boolean;
};

export function Button({ kind, submits = false, busy = false, onClick, children, ...others }: ButtonProps) {
  return (
    <button
      {...others}
      type={submits ? 'submit' : 'button'}
      className="button"
      data-kind={kind}
      aria-disabled={busy || undefined}
      onClick={(event) => {
        if (busy) event.preventDefault();
        else onClick?.(event);
      }}
    >
      {children}
    </button>
  );
}

interface FieldProps {
  label: string;
  hint?: ReactNode;
  /** What is wrong with what was filled in. */
  fault?: string | undefined;
  /** The control, which takes these attributes. */
  children: (attributes: {
    id: string;
    className: string;
    'aria-describedby': string | undefined;
    'aria-invalid': boolean | undefined;
  }) => ReactNode;
}

export function Field({ label, hint, fault, children }: FieldProps) {
  const id = useId();
  const described = [hint === undefined ? '' : `${id}-hint`, fault === undefined ? '' : `${id}-fault`];
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      {children({
        id,
        className: 'input',
        'aria-describedby': described.join(' ').trim() || undefined,
        'aria-invalid': fault === undefined ? undefined : true,
      })}
      {hint !== undefined && (
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {fault !== undefined && (
        <span className="fault" id={`${id}-fault`}>
          {fault}
        </span>
      )}
    </div>
  );
}

export function Badge({ tone = 'quiet', children }: { tone?: Tone; children: ReactNode }) {
  return (
    <span className="badge" data-tone={tone}>
      {children}
    </span>
  );
}

/** Something said where it belongs; a failure is read out at once. */
export function Notice({ tone, children }: { tone: Exclude<Tone, 'quiet'>; children: ReactNode }) {
  return (
    <div className="notice" data-tone={tone} role={tone === 'bad' ? 'alert' : 'status'}>
      <Icon name={tone} />
      <div>{children}</div>
    </div>
  );
}

/** A failure in words, if there is one. */
export function Failure({ error }: { error: Error | null }) {
  return error === null ? null : <Notice tone="bad">{error.message}</Notice>;
}

export function Waiting({ what = words.loading }: { what?: string }) {
  return (
    <div className="waiting" role="status">
      <span className="pulse">{what}</span>
    </div>
  );
}

/** What stands in the place of an answer that is not there yet, or could not be had. */
export function Unanswered({ error }: { error: Error | null }) {
  const { state } = useContact();
  // Where nobody answers, the whole page says so.
  if (state === 'lost') return <Waiting what={words.waitingForService} />;
  return error === null || state === 'signed-out' ? <Waiting /> : <Failure error={error} />;
}

/** A text to take along, such as a command. */
export function CopyText({ text, what }: { text: string; what: string }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef<number>(undefined);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    window.clearTimeout(timer.current);
    timer.current = window.setTimeout(() => setCopied(false), 2000);
  };
  return (
    <div className="copy">
      <code>{unbroken(text)}</code>
      <Button kind="plain" onClick={() => void copy().catch(() => setCopied(false))}>
        <Icon name={copied ? 'done' : 'copy'} size={17} />
        <span className="hidden-text" role="status">
          {copied ? words.copied(what) : words.copy(what)}
        </span>
      </Button>
    </div>
  );
}

/** Flags of a command stay in one piece where the line breaks. */
function unbroken(text: string): ReactNode {
  return text.split(/(?<= )(--?[\w-]+)/).map((piece, index) =>
    piece.startsWith('-') ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of one text stay in their order
      <span key={index} className="flag">
        {piece}
      </span>
    ) : (
      piece
    ),
  );
}

interface CardProps {
  title: string;
  /** Under the title. */
  lead?: ReactNode;
  /** At the right of the title. */
  aside?: ReactNode;
  className?: string;
  children: ReactNode;
}

export function Card({ title, lead, aside, className = '', children }: CardProps) {
  const id = useId();
  return (
    <section className={`card ${className}`} aria-labelledby={id}>
      <header>
        <div>
          <h2 id={id}>{title}</h2>
          {lead !== undefined && <p className="lead">{lead}</p>}
        </div>
        {aside}
      </header>
      {children}
    </section>
  );
}
