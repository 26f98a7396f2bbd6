/** The authorities' keys, sealed again when the master key is rotated. */
import { sealedColumn } from '../database/sealed-place.ts';
import { authorityKeyPlace } from './authorities.ts';

export const sealedAuthorities = sealedColumn<{ name: string }>({
  table: 'authority',
  column: 'private_key',
  keyId: 'key_id',
  recorded: true,
  boundTo: ['name'],
  place: ({ name }) => authorityKeyPlace(name),
});

export const sealedDomainKey = sealedColumn({
  table: 'domain_key',
  column: 'private_key',
  keyId: 'key_id',
  recorded: true,
  boundTo: [],
  place: () => authorityKeyPlace('domain'),
});

export const sealedOtherDomainKey = sealedColumn({
  table: 'domain_key_other',
  column: 'private_key',
  keyId: 'key_id',
  recorded: true,
  boundTo: [],
  place: () => authorityKeyPlace('domain-other'),
});
