/**
 * What a test run prints: a line for each file as it ends, with those of its tests below it; at the end, as Node's reporter
 * has it, what failed and how many there were.
 *
 * That reporter alone shows nothing of a file before all those ahead of it in the list have ended; and to Node a file has passed
 * whose process ends with exit code 0 in the middle of its tests.
 */
import { relative } from 'node:path';
import { Transform } from 'node:stream';
import type { EventData } from 'node:test';
import { spec, type TestEvent } from 'node:test/reporters';

type Completed = EventData.TestComplete;

/**
 * Takes the events of `run()` and gives text.
 * @param files as they were given to `run()`
 * @param onEarlyEnd told each file that passed as far as it went, and ended before its tests had
 */
export function testReport(files: readonly string[], cwd: string, onEarlyEnd: (file: string) => void): Transform {
  const wanted = new Set(files);
  const summed = new Set<string>();
  const passed = new Map<string, Completed>();
  const linesOf = new Map<string, string[]>();
  const nodes = new spec();
  let ended = 0;

  /** What Node's reporter makes of an event; it keeps failures for the end. */
  function asNode(event: TestEvent): string {
    nodes.write(event);
    return String(nodes.read() ?? '');
  }

  function fileText(file: Completed): string {
    ended += 1;
    const seconds = (file.details.duration_ms / 1000).toFixed(1);
    const lines = linesOf.get(file.name) ?? [];
    linesOf.delete(file.name);
    if (file.details.passed) passed.set(file.name, file);
    return `${markOf(file)} ${ended}/${wanted.size} ${relative(cwd, file.name)} ${seconds} s\n${lines.join('')}`;
  }

  function failEarlyEnds(): void {
    for (const [name, file] of passed) {
      if (summed.has(name)) continue;
      onEarlyEnd(name);
      const error = Object.assign(new Error('The process of this file ended before its tests had.'), {
        cause: undefined,
      });
      const failure: EventData.TestFail = { ...file, details: { duration_ms: file.details.duration_ms, error } };
      asNode({ type: 'test:fail', data: failure });
    }
  }

  function textOf(event: TestEvent): string {
    switch (event.type) {
      case 'test:complete': {
        const { data } = event;
        if (wanted.has(data.name)) return fileText(data);
        const file = data.file ?? '';
        linesOf.set(file, [...(linesOf.get(file) ?? []), testLine(data)]);
        return '';
      }
      case 'test:fail':
        asNode(event);
        return '';
      case 'test:summary':
        if (event.data.file !== undefined) summed.add(event.data.file);
        else failEarlyEnds();
        return asNode(event);
      case 'test:stdout':
      case 'test:stderr':
      case 'test:diagnostic':
        return asNode(event);
      default:
        return '';
    }
  }

  return new Transform({
    writableObjectMode: true,
    transform(event: TestEvent, _encoding, done) {
      done(null, textOf(event));
    },
  });
}

function testLine(test: Completed): string {
  const { details, name, nesting, skip, todo } = test;
  const note = skip !== undefined ? ' # skipped' : todo !== undefined ? ' # todo' : '';
  return `${'  '.repeat(nesting + 2)}${markOf(test)} ${name} (${Math.round(details.duration_ms)} ms)${note}\n`;
}

function markOf({ details }: Completed): string {
  return details.passed ? '✔' : '✖';
}
