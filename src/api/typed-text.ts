/** Texts that a person types and others read: without invisible or misleading characters. */
import * as z from 'zod';
import { unseenCharacter } from '../base/shown-text.ts';

/** Of at most `length` UTF-16 units; with `lines` it may have line breaks. */
export function typedText(length: number, options: { lines?: boolean } = {}) {
  return z.string().max(length).superRefine(refuseUnseen(options));
}

function refuseUnseen(options: { lines?: boolean } = {}) {
  return (text: string, context: z.RefinementCtx): void => {
    const unseen = unseenCharacter(text, options);
    if (unseen === undefined) return;
    context.addIssue({
      code: 'custom',
      message: `it contains ${unseen}, which is not displayed as such; remove it`,
    });
  };
}

const dotsText = 'a name cannot consist of dots only';
const notDots = (text: string): boolean => !/^\.+$/u.test(text.trim());

/**
 * For new objects. Existing ones are named by `name`: an earlier release accepted more. Dots alone are not a name: URLs
 * treat `.` and `..`, even encoded, as the folder itself and its parent.
 */
export const typedName = typedText(200).min(1).refine(notDots, dotsText);

/** A new account's name. `accountNameOf` checks its length and characters, with a separate error code. */
export const typedAccountName = z
  .string()
  .superRefine(refuseUnseen())
  .refine(notDots, dotsText)
  .meta({ minLength: 1, maxLength: 200 });
