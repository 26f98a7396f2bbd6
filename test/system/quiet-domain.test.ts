/** Whoever comes to a domain: clients that others wrote are served, and what is wrong is refused and harms nobody. */
import { describe } from 'node:test';
import { describeBadInput } from './quiet-domain/bad-input.ts';
import { describeIndependentClients } from './quiet-domain/independent-clients.ts';
import { quietDomain } from './quiet-domain/stage.ts';

describe('a quiet domain', () => {
  const stage = quietDomain();

  describeIndependentClients(stage);
  describeBadInput(stage);
});
