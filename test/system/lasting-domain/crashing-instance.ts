/** An instance that is not there says nothing of itself; what its devices see is counted all the same. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../src/testing/condition.ts';
import { untilServed } from '../../harness/evidence.ts';
import { signal } from '../../harness/processes.ts';
import type { LastingDomain } from './stage.ts';

interface Seen {
  requests: number;
  failed: number;
}

export function describeCrashingInstance(stage: LastingDomain): void {
  async function seen(instance: string): Promise<Seen> {
    const [row] = await stage.domain.sql<Seen[]>`
      select coalesce(sum(o.requests), 0)::int as requests, coalesce(sum(o.failed), 0)::int as failed
        from request_outcome o join instance i on i.id = o.instance_id where i.name = ${instance}`;
    assert(row);
    return row;
  }

  test('an instance crashes over and over: its devices’ failures stand with their accounts, told by the other one; its own samples know of none', async () => {
    await until('what devices see of both is counted', 120_000, async () => {
      return (await seen('server-1')).requests > 0 && (await seen('server-2')).requests > 0;
    });
    const [before1, before2] = [await seen('server-1'), await seen('server-2')];
    await until('five failures of server-1 are counted', 180_000, async () => {
      await signal(stage.domain, 'server-1', 'SIGKILL').catch(() => undefined);
      return (await seen('server-1')).failed >= before1.failed + 5;
    });
    assert.equal((await seen('server-2')).failed, before2.failed, 'the other one is not to blame');
    const [own] = await stage.domain.sql`
      select coalesce(sum(s.errors), 0)::int as errors
        from request_sample s join instance i on i.id = s.instance_id where i.name = 'server-1'`;
    assert.equal(own?.['errors'], 0);
    const rows = await stage.domain.sql<{ router: string }[]>`select distinct router from request_outcome`;
    const routers = await stage.domain.sql<{ name: string }[]>`select name from component where kind = 'router'`;
    assert.deepEqual(
      rows.map(({ router }) => router),
      routers.map(({ name }) => name),
    );
  });

  test('each end without a goodbye is recorded, and once it is back its devices are counted as served', async () => {
    await untilServed(stage.domain, stage.fleet);
    await until('an end of server-1 is recorded', 60_000, async () => {
      const rows = await stage.domain
        .sql`select from component_interruption where name = 'server-1' and cause = 'exit'`;
      return rows.length > 0;
    });
    const { requests, failed } = await seen('server-1');
    await until('requests to server-1 are answered again', 120_000, async () => {
      const now = await seen('server-1');
      return now.requests - now.failed > requests - failed;
    });
  });
}
