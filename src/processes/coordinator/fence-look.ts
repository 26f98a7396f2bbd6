/**
 * A fence that is blocked, as the coordinator's steps meet it: by a session that holds its lock and cannot be ended. It tries
 * again and again by itself, so nothing is recorded that an operator would see without asking.
 */
import { isBrambleError } from '../../base/errors.ts';
import type { Look } from '../../notices/conditions.ts';

interface FenceLook {
  /** After each step: what it failed with, or undefined. */
  stepped(error: unknown): void;
  look: Look;
}

export function fenceLook(release: string): FenceLook {
  // Nothing is known before the first step: a coordinator that was killed may have told of a fence that is blocked still.
  const last: { message: string | null | undefined } = { message: undefined };
  return {
    stepped: (error) => {
      if (error === undefined) last.message = null;
      if (isBrambleError(error, 'ERR_RELEASE_FENCE_BLOCKED')) last.message = blockedText(release, error.details);
    },
    look: {
      kind: 'fence-blocked',
      scope: '',
      confirmSeconds: 0,
      look: async () => {
        const { message } = last;
        if (message === undefined) return null;
        return message === null ? [] : [{ subject: release, message }];
      },
    },
  };
}

function blockedText(release: string, { holders }: Readonly<Record<string, unknown>>): string {
  const names = Array.isArray(holders) && holders.length > 0 ? holders.join(', ') : 'a session that is gone by now';
  return (
    `the upgrade to ${release} cannot go on: its fence is blocked by ${names}, which cannot be ended from here. ` +
    'End it in the database (pg_stat_activity shows it); the upgrade tries again by itself.'
  );
}
