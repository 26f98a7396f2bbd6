/** What a supervisor reported is forgotten with its host. */
import type { Transaction } from '../database/connection.ts';

/** One that is still at work reports itself again. @returns whether there was one */
export async function forgetSupervisor(tx: Transaction, host: string): Promise<boolean> {
  const { count } = await tx`delete from supervisor where host = ${host}`;
  return count === 1;
}
