/** Texts that a person types and others read: no character in them that is not seen as itself. */
import { z } from 'zod';
import { unseenCharacter } from '../base/shown-text.ts';

/** Of at most `length` UTF-16 units; with `lines` it may have line breaks. */
export function typedText(length: number, options: { lines?: boolean } = {}) {
  return z
    .string()
    .max(length)
    .superRefine((text, context) => {
      const unseen = unseenCharacter(text, options);
      if (unseen === undefined) return;
      context.addIssue({
        code: 'custom',
        message: `it holds ${unseen}, which is not shown as what it is; leave that out`,
      });
    });
}

/**
 * Of what is made. What is there already is named by `name`: an earlier release took more. Dots alone are no name: URLs
 * hold `.` and `..`, also when they are encoded, for the folder itself and the one above.
 */
export const typedName = typedText(200)
  .min(1)
  .refine((text) => !/^\.+$/u.test(text.trim()), 'dots alone are no name');
