/** `1 device`, `2 devices`, `1 delivery`, `2 deliveries`; pass `several` for irregular plurals. */
export function counted(count: number, one: string, several = pluralOf(one)): string {
  return `${count} ${count === 1 ? one : several}`;
}

function pluralOf(one: string): string {
  return /[^aeiou]y$/.test(one) ? `${one.slice(0, -1)}ies` : `${one}s`;
}
