/** The last hour of the domain, minute by minute. */
import { type FigurePoint, figureOperations } from '../../api/figures.ts';
import { useAnswer } from '../live/answers.ts';
import { figureWords as say } from '../messages/overview.ts';
import { Chart } from '../parts/chart.tsx';
import { Card, Unanswered } from '../parts/controls.tsx';
import { minutesOf } from './chart-minutes.ts';

export default function Charts() {
  const { value, error } = useAnswer(figureOperations.show, { query: {} }, { topics: ['figures'], everyMs: 30_000 });
  const { times, points } = minutesOf(value?.series[0]?.points ?? []);
  // Axes without lines would say less than this.
  if (times.length === 0) {
    return (
      <Card title={say.lastHour}>
        {value === undefined ? <Unanswered error={error} /> : <p className="soft">{say.none}</p>}
      </Card>
    );
  }
  const values = (of: keyof Omit<FigurePoint, 'at'>) => points.map((point) => point?.[of] ?? null);
  const budget = points.findLast((point) => point?.budget != null)?.budget ?? null;
  return (
    <>
      <div className="pair">
        <Card title={say.requests} aside={<p>{say.requestsAside}</p>}>
          <Chart
            label={say.requestsLabel}
            times={times}
            series={[
              { name: say.answered, colour: '--series-2', values: values('connects') },
              { name: say.failed, colour: '--series-4', values: values('errors') },
            ]}
          />
        </Card>
        <Card title={say.latency} aside={<p>{say.latencyAside}</p>}>
          <Chart
            label={say.latency}
            unit={say.milliseconds}
            times={times}
            series={[
              { name: say.median, colour: '--series-2', values: values('p50Ms') },
              { name: say.within95, colour: '--series-3', values: values('p95Ms') },
              { name: say.within99, colour: '--series-1', values: values('p99Ms') },
            ]}
          />
        </Card>
      </div>
      <Card title={say.deliveries} aside={<p>{say.deliveriesAside}</p>}>
        <Chart
          label={say.deliveriesLabel}
          times={times}
          series={[
            { name: say.inFlight, colour: '--series-1', values: values('inFlight') },
            { name: say.waiting, colour: '--series-2', values: values('waiting') },
            { name: say.suspects, colour: '--series-3', values: values('suspects') },
          ]}
          {...(budget === null ? {} : { limit: { name: say.budget, value: budget } })}
        />
      </Card>
    </>
  );
}
