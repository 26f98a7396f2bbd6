import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grantOf, valuesOf } from './rules.ts';

const rules = [
  { value: 'desk-berlin', role: 'junior-helpdesk', groups: ['berlin'] },
  { value: 'desk-paris', role: 'junior-helpdesk', groups: ['paris'] },
  { value: 'desk', role: 'junior-helpdesk', groups: null },
  { value: 'admins', role: 'security', groups: null },
  { value: 'nobody', role: 'enterprise', groups: [] },
];

test('the first rule that fits gives the role, and a limited one stays limited', () => {
  const granted = (...values: string[]) => grantOf(rules, values);
  assert.equal(granted('other'), null);
  assert.equal(granted(), null);
  assert.deepEqual(granted('admins'), { role: 'security', groups: null });
  assert.deepEqual(granted('admins', 'desk-paris'), { role: 'junior-helpdesk', groups: ['paris'] });
  assert.deepEqual(granted('desk-paris', 'desk-berlin'), { role: 'junior-helpdesk', groups: ['berlin', 'paris'] });
  assert.deepEqual(granted('desk-berlin', 'desk'), { role: 'junior-helpdesk', groups: ['berlin'] });
  assert.deepEqual(granted('nobody'), { role: 'enterprise', groups: [] });
  assert.equal(granted('Admins'), null);
});

test('a claim is found by its name, or within objects, and nothing that is inherited counts', () => {
  const claims = {
    groups: ['a', 7, null, ['b'], { c: 'd' }],
    realm_access: { roles: ['r'] },
    'https://example.org/roles': 'x',
    'realm_access.more': ['m'],
    admin: true,
  };
  assert.deepEqual(valuesOf(claims, 'groups'), ['a', '7']);
  assert.deepEqual(valuesOf(claims, 'realm_access.roles'), ['r']);
  assert.deepEqual(valuesOf(claims, 'realm_access.more'), ['m']);
  assert.deepEqual(valuesOf(claims, 'https://example.org/roles'), ['x']);
  assert.deepEqual(valuesOf(claims, 'admin'), ['true']);
  for (const path of [
    'realm_access',
    'realm_access.',
    '.roles',
    'groups.length',
    'groups.0',
    'toString.name',
    '__proto__',
    '',
  ])
    assert.deepEqual(valuesOf(claims, path), [], path);
});
