/** The second factor: a code of the authenticator, or a recovery code. */
import { BrambleError } from '../../base/errors.ts';
import type { Transaction } from '../../database/connection.ts';
import type { SignInDesk } from './desk.ts';
import { secretDigest } from './secrets.ts';
import { takeTotp } from './totp.ts';

/**
 * Uses the code up. @returns which it was, as sessions tell it
 * @throws BrambleError ERR_SIGN_IN
 */
export async function useCodeOf(
  tx: Transaction,
  desk: SignInDesk,
  administratorId: string,
  code: string,
): Promise<'totp' | 'recovery code'> {
  if (await takeTotp(tx, await desk.masterKeys(), administratorId, code)) return 'totp';
  if (await useRecoveryCode(tx, administratorId, code)) return 'recovery code';
  throw new BrambleError(
    'ERR_SIGN_IN',
    'The code is wrong, or was used already. Wait for the next one of the authenticator, or use a recovery code.',
  );
}

/** Whether it is one that was not used. */
async function useRecoveryCode(tx: Transaction, id: string, code: string): Promise<boolean> {
  const { count } = await tx`
    update sign_in_code set used_at = now()
     where digest = ${recoveryDigest(code)} and administrator_id = ${id} and purpose = 'recovery' and used_at is null`;
  return count === 1;
}

/** However it is typed. */
export function recoveryDigest(code: string): Buffer {
  return secretDigest(`recovery ${code.toLowerCase().replace(/[^a-z0-9]/g, '')}`);
}
