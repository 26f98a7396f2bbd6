/** A page that cannot be drawn says so, and leaves the way to the others open. A part of an earlier release may be gone for good. */
import { Component, type ReactNode } from 'react';
import { words } from '../messages/words.ts';
import { Button, Notice } from './controls.tsx';

interface State {
  readonly error: Error | null;
}

export class PageFailure extends Component<{ children: ReactNode }, State> {
  override state: State = { error: null };

  static getDerivedStateFromError(error: Error): State {
    return { error };
  }

  override render(): ReactNode {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return (
      <div className="stack">
        <h1>{words.pageFailed}</h1>
        <Notice tone="bad">
          <p>{words.pageFailedWhy}</p>
          <p className="small soft">{error.message}</p>
        </Notice>
        <div className="row">
          <Button kind="main" onClick={() => location.reload()}>
            {words.reload}
          </Button>
        </div>
      </div>
    );
  }
}
