/** For tests: master keys as they are after a rotation. */
import { createMasterKeys, type MasterKeys } from './sealed-value.ts';

/** Adds a fresh key and makes it the current one; values sealed by older ones still open. */
export function rotateMasterKeys(keys: MasterKeys): MasterKeys {
  const fresh = createMasterKeys();
  return { current: fresh.current, keys: new Map([...keys.keys, ...fresh.keys]) };
}
