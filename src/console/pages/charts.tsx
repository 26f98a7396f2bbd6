/** The last hour of the domain, minute by minute. */
import { type FigurePoint, figureOperations } from '../../api/figures.ts';
import { useAnswer } from '../live/answers.ts';
import { Chart } from '../parts/chart.tsx';
import { Card, Failure } from '../parts/controls.tsx';
import { minutesOf } from './chart-minutes.ts';

export default function Charts() {
  const { value, error } = useAnswer(figureOperations.show, { query: {} }, { everyMs: 30_000 });
  const { times, points } = minutesOf(value?.series[0]?.points ?? []);
  const values = (of: keyof Omit<FigurePoint, 'at'>) => points.map((point) => point?.[of] ?? null);
  const budget = points.findLast((point) => point?.budget != null)?.budget ?? null;
  return (
    <>
      <Failure error={value === undefined ? error : null} />
      <div className="pair">
        <Card title="Requests of devices" aside={<p>a minute, the last hour</p>}>
          <Chart
            label="Requests of devices a minute"
            times={times}
            series={[
              { name: 'answered', colour: '--series-2', values: values('connects') },
              { name: 'failed', colour: '--series-4', values: values('errors') },
            ]}
          />
        </Card>
        <Card title="How long they took" aside={<p>as routers see it</p>}>
          <Chart
            label="Latency of requests"
            unit="ms"
            times={times}
            series={[
              { name: 'half within', colour: '--series-2', values: values('p50Ms') },
              { name: '95 % within', colour: '--series-3', values: values('p95Ms') },
              { name: '99 % within', colour: '--series-1', values: values('p99Ms') },
            ]}
          />
        </Card>
      </div>
      <Card title="Deliveries over time" aside={<p>the most in each minute</p>}>
        <Chart
          label="Deliveries waiting and in flight"
          times={times}
          series={[
            { name: 'in flight', colour: '--series-1', values: values('inFlight') },
            { name: 'waiting', colour: '--series-2', values: values('waiting') },
            { name: 'suspects', colour: '--series-3', values: values('suspects') },
          ]}
          {...(budget === null ? {} : { limit: { name: 'budget', value: budget } })}
        />
      </Card>
    </>
  );
}
