/** Texts that a person types and others read: no character in them that is not seen as itself. */
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
 * Of what is made. What is there already is named by `name`: an earlier release took more. Dots alone are no name: URLs
 * hold `.` and `..`, also when they are encoded, for the folder itself and the one above.
 */
export const typedName = typedText(200).min(1).refine(notDots, dotsText);

/** A new account's name. Its length and characters are judged by `accountNameOf`, with a code of its own. */
export const typedAccountName = z
  .string()
  .superRefine(refuseUnseen())
  .refine(notDots, dotsText)
  .meta({ minLength: 1, maxLength: 200 });
