/** A page that cannot be drawn says so, and leaves the way to the others open. A part of an earlier release may be gone for good. */
import { Component, type ReactNode } from 'react';
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
        <h1>This page cannot be shown</h1>
        <Notice tone="bad">{error.message}</Notice>
        <div className="row">
          <Button kind="main" onClick={() => location.reload()}>
            Load it anew
          </Button>
        </div>
      </div>
    );
  }
}
