/** A known bug: an exact change of the sources that brings it back, and the tests that see it. */
import type { SourceEdit } from '../source-edit.ts';
import type { NamedTest } from './trial.ts';

export interface KnownBug extends SourceEdit {
  /** Two to six words, as one types them: `slots-free-by-themselves`. */
  readonly name: string;
  /** Each of them has to fail with the bug, and to pass without. */
  readonly seenBy: readonly NamedTest[];
}
