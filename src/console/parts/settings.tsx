/** Things that can be changed, one below the other: each with how it is, what that means, and its buttons. */
import type { ReactNode } from 'react';

export function Settings({ children }: { children: ReactNode }) {
  return <ul className="settings">{children}</ul>;
}

interface SettingProps {
  title: string;
  /** How it is now. */
  state?: ReactNode;
  hint?: ReactNode;
  /** Its buttons. */
  children?: ReactNode;
}

export function Setting({ title, state, hint, children }: SettingProps) {
  return (
    <li>
      <div>
        <p className="row">
          <strong>{title}</strong> {state}
        </p>
        {hint !== undefined && <p className="small soft">{hint}</p>}
      </div>
      <div className="row">{children}</div>
    </li>
  );
}
