/** What a change makes due to devices, in a sentence. */
import { counted } from '../../base/counted.ts';

interface Owed {
  deliveriesOwed: number;
}

export function owedText({ deliveriesOwed }: Owed): string {
  return `${counted(deliveriesOwed, 'delivery is', 'deliveries are')} owed to devices.`;
}

export function doneText(owed: Owed): string {
  return `Done; ${owedText(owed)}`;
}

export function deletedText(owed: Owed): string {
  return `Deleted; ${owedText(owed)}`;
}
