/** The check for deliveries that are open: those of the upgrade wait behind them, and gates see what they do. */
import { counted } from '../../../base/counted.ts';
import { readBudget } from '../../../deliveries/budget.ts';
import { countOpenDeliveries, type OpenDeliveries } from '../../../deliveries/delivery-figures.ts';
import { type CheckOptions, type Finding, passed, warning } from './check.ts';

/** What is sent in less time delays nobody. */
const manyMinutes = 10;

export async function checkOpenDeliveries({ db }: Pick<CheckOptions, 'db'>): Promise<Finding> {
  const [open, budget] = [await countOpenDeliveries(db), await readBudget(db)];
  const sum = (count: (each: OpenDeliveries) => number) => open.reduce((total, each) => total + count(each), 0);
  const suspects = sum((each) => each.suspects);
  const pending = sum(({ owed, released, inFlight }) => owed + released + inFlight);
  const minutes = Math.ceil(pending / budget.perMinuteDomain);
  const found = `${counted(pending, 'delivery is', 'deliveries are')} open, and ${counted(suspects, 'device')} fell silent with one`;
  const todo = [
    ...(minutes > manyMinutes
      ? [
          `Those of the upgrade wait behind them for about ${minutes} min (${budget.perMinuteDomain} a minute): wait until ` +
            'they are settled (`bramble deliveries`)',
        ]
      : []),
    ...(suspects >= budget.suspects
      ? [
          `the limit of ${counted(budget.suspects, 'suspect')} is reached, so that the next silent devices hold slots: ` +
            '`bramble device requeue --silent` takes back what they have',
        ]
      : []),
  ];
  return todo.length === 0 ? passed(found) : warning(`${found}. ${todo.join('; ')}.`);
}
