/**
 * What a statement really did, as PostgreSQL tells of it: every plan that was executed in a session, with the rows that its
 * steps went through (`auto_explain`, whose words arrive as notices).
 */

import type { Database, Transaction } from '../../src/database/connection.ts';
import { driver, prepareSession, type Sql } from '../../src/database/session.ts';

export interface PlanStep {
  /** Such as `Seq Scan`, `Index Scan`, `Nested Loop`. */
  how: string;
  from: 'table' | 'step';
  /** The table, else the index, else the `with` query that it goes through. */
  over: string | undefined;
  /** Gone through in all loops: those that it gave and those that it threw away. */
  rows: number;
}

export interface ExecutedStatement {
  text: string;
  steps: readonly PlanStep[];
  /** Of all steps. */
  rows: number;
  /** Of those that go through a table or an index. */
  tableRows: number;
}

interface PlanNode {
  'Node Type': string;
  'Relation Name'?: string;
  'Index Name'?: string;
  'CTE Name'?: string;
  'Actual Rows': number;
  'Actual Loops': number;
  'Rows Removed by Filter'?: number;
  'Rows Removed by Index Recheck'?: number;
  'Rows Removed by Join Filter'?: number;
  Plans?: PlanNode[];
}

type Work = (db: Database & Transaction) => Promise<unknown>;

export interface PlanWatch {
  /** Runs `work`, behind `before`, in a transaction that is rolled back, and returns every statement that it executed. */
  watch(work: Work, before?: Work): Promise<ExecutedStatement[]>;
  end(): Promise<void>;
}

/** @param planCacheMode `force_custom_plan`: for these very parameters; `force_generic_plan`: for whichever. */
export async function watchPlans(
  url: string,
  planCacheMode: 'force_custom_plan' | 'force_generic_plan',
): Promise<PlanWatch> {
  let executed: ExecutedStatement[] = [];
  const sql = driver(url, 'plans', {
    onnotice: ({ message }) => {
      const plan = /^duration: .* plan:\n(.*)$/s.exec(message ?? '')?.[1];
      if (plan !== undefined) executed.push(statementOf(plan));
    },
  });
  await sql.unsafe(`load 'auto_explain'`);
  for (const [name, value] of Object.entries({
    log_min_duration: 0,
    log_analyze: 'on',
    log_timing: 'off',
    log_format: 'json',
    log_level: 'notice',
  })) {
    await sql.unsafe(`set auto_explain.${name} = ${value}`);
  }
  await prepareSession(sql, false);
  await sql.unsafe(`set plan_cache_mode = ${planCacheMode}`);
  return {
    async watch(work, before) {
      const undo = new Error('rolled back');
      await sql
        .begin(async (tx) => {
          await before?.(withInnerTransactions(tx as Transaction));
          executed = [];
          await work(withInnerTransactions(tx as Transaction));
          throw undo;
        })
        .catch((error: unknown) => {
          if (error !== undo) throw error;
        });
      return executed;
    },
    end: async () => await sql.end({ timeout: 5 }),
  };
}

/** What begins a transaction of its own is a part of the one that is watched. */
function withInnerTransactions(tx: Transaction): Database & Transaction {
  return new Proxy(tx, {
    get: (target, key) =>
      key === 'begin' ? (work: (inner: Sql) => unknown) => work(target as unknown as Sql) : Reflect.get(target, key),
  }) as unknown as Database & Transaction;
}

function statementOf(json: string): ExecutedStatement {
  const { 'Query Text': text, Plan: plan } = JSON.parse(json) as { 'Query Text': string; Plan: PlanNode };
  const steps = stepsOf(plan);
  const sum = (of: readonly PlanStep[]) => of.reduce((all, { rows }) => all + rows, 0);
  return { text, steps, rows: sum(steps), tableRows: sum(steps.filter(({ from }) => from === 'table')) };
}

function stepsOf(node: PlanNode): PlanStep[] {
  const removed =
    (node['Rows Removed by Filter'] ?? 0) +
    (node['Rows Removed by Index Recheck'] ?? 0) +
    (node['Rows Removed by Join Filter'] ?? 0);
  const table = node['Relation Name'] ?? node['Index Name'];
  const step: PlanStep = {
    how: node['Node Type'],
    from: /Scan$/.test(node['Node Type']) && table !== undefined ? 'table' : 'step',
    over: table ?? node['CTE Name'],
    rows: Math.round((node['Actual Rows'] + removed) * node['Actual Loops']),
  };
  return [step, ...(node.Plans ?? []).flatMap(stepsOf)];
}
