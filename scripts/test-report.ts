/**
 * What a test run prints: a line for each file as it ends, with those of its tests below it; at the end, as Node's reporter
 * has it, what failed and how many there were.
 *
 * That reporter alone shows nothing of a file before all those ahead of it in the list have ended.
 */
import { relative } from 'node:path';
import { Transform } from 'node:stream';
import type { EventData } from 'node:test';
import { spec, type TestEvent } from 'node:test/reporters';

type Completed = EventData.TestComplete;

/**
 * Takes the events of `run()` and gives text.
 * @param files as they were given to `run()`
 */
export function testReport(files: readonly string[], cwd: string): Transform {
  const wanted = new Set(files);
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
    return `${markOf(file)} ${ended}/${wanted.size} ${relative(cwd, file.name)} ${seconds} s\n${lines.join('')}`;
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
      case 'test:stdout':
      case 'test:stderr':
      case 'test:diagnostic':
      case 'test:summary':
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
