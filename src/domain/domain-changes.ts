/** The few changes of the domain's row after it was made; what they need to be right is with those that call them. */
import type { Transaction } from '../database/connection.ts';

/** Until the transaction ends nobody else changes it. */
export async function lockDomain(tx: Transaction): Promise<void> {
  await tx`select 1 from domain for update`;
}

/** Hands the database over to `release`; only under the release fence. */
export async function setDomainRelease(tx: Transaction, release: string): Promise<void> {
  await tx`update domain set release = ${release}`;
}

/** Activates the features of `release`, for good; only when every component has them. */
export async function setFeatureLevel(tx: Transaction, release: string): Promise<void> {
  await tx`update domain set feature_level = ${release}`;
}

/** In place of the generated one; only once, under the lock. */
export async function setWakeChannel(tx: Transaction, channel: string): Promise<void> {
  await tx`update domain set push_topic = ${channel}`;
}
