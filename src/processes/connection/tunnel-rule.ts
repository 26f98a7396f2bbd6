/**
 * Whether a tunnel may lead to a target, as a pure rule: what the device asked for, then the address that would be dialled.
 *
 *   listed by name or address? → every address it resolves to: the domain's own? reserved? → those left are dialled
 *
 * Invariant: a name never opens what only an address may: the domain's own addresses need a pattern of exactly that
 * address and port, reserved ones a pattern within their range. Controlling a name server gains nothing.
 */
import type { ErrorCode } from '../../base/error-codes.ts';
import type { AllowedHosts, TunnelTarget } from '../../instances/allowed-hosts.ts';
import { ipNetworkOf } from '../../instances/ip-network.ts';
import { reservedRangeOf } from './reserved-addresses.ts';

/** An address and port of a part of the domain itself. */
export interface OwnEndpoint {
  /** Or its name, while that was never resolved. */
  address: string;
  port: number;
  /** In words, for people: `the database`. */
  what: string;
}

export interface TunnelRule {
  hosts: AllowedHosts;
  own: readonly OwnEndpoint[];
}

export interface RuleRefusal {
  code: ErrorCode;
  reason: string;
}

/** Null when a pattern lists the target as the device named it. */
export function refusalOfTarget(target: TunnelTarget, { hosts }: TunnelRule): RuleRefusal | null {
  if (hosts.covers(target)) return null;
  return { code: 'ERR_TUNNEL_HOST_NOT_ALLOWED', reason: `${textOf(target)} is not on the list of allowed hosts` };
}

/** Null when the address may be dialled for the target. */
export function refusalOfAddress(target: TunnelTarget, address: string, rule: TunnelRule): RuleRefusal | null {
  const { port } = target;
  const refuse = (what: string): RuleRefusal => ({
    code: 'ERR_TUNNEL_ADDRESS_RESERVED',
    reason:
      `${textOf(target)} resolves to ${address}, which is ${what}: this is allowed only if the address itself is ` +
      'listed',
  });
  const network = ipNetworkOf(address);
  if (network === null) return refuse('not a plain address');
  const own = rule.own.find(
    (each) => each.port === port && (each.address === target.host || isSame(each.address, address)),
  );
  if (own) return rule.hosts.namesExactly(network, port) ? null : refuse(own.what);
  const reserved = reservedRangeOf(network);
  return reserved === null || rule.hosts.namesWithin(network, port, reserved.network) ? null : refuse(reserved.what);
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [ipNetworkOf(one), ipNetworkOf(other)];
  return a !== null && b !== null && a.family === b.family && a.first === b.first;
}

function textOf({ host, port }: TunnelTarget): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
