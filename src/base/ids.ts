/**
 * Branded identifiers: a device id cannot be passed where an account id is expected. All but the SRP identifier are
 * UUIDs.
 */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type AccountId = Branded<'account'>;
export type DeviceId = Branded<'device'>;
export type InstanceId = Branded<'instance'>;
export type CommandId = Branded<'command'>;
export type MoveId = Branded<'move'>;
export type UpgradeId = Branded<'upgrade'>;
/** `S` and eight digits for a server instance, `C` and eight digits for a connection service. */
export type SrpIdentifier = Branded<'srp-identifier'>;

/** A fresh random (version 4) UUID with the requested brand. */
export function newId<Id extends string>(): Id {
  return crypto.randomUUID() as unknown as Id;
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isUuid(text: string): boolean {
  return uuidPattern.test(text);
}

export function isSrpIdentifier(text: string): text is SrpIdentifier {
  return /^[SC]\d{8}$/.test(text);
}
