/**
 * The messages between a supervisor and a process that has none, at the Unix socket in the home, one JSON value a line;
 * and the file by which a process announces beforehand that it can be adopted.
 *
 *   process                                    supervisor
 *   {type: 'orphan', …}                   →
 *                                         ←    {type: 'adopted', sockets}    what it hands over when asked
 *                                         ←    {type: 'hand-sockets'}
 *   {type: 'sockets', names, folder}      →                             each is sent to whoever connects to its path
 *   {type: 'want-socket', name}           →
 *                                         ←    {type: 'socket', name, folder}    as soon as it has it, the same way
 *   {type: 'ready' | 'serving' | 'alive'} →    as over IPC
 *
 *   another supervisor                         supervisor
 *   {type: 'hand-over', release}          →
 *                                         ←    {type: 'handing-over'}, and then it leaves everything and ends
 *                                         ←    {type: 'refused', reason}, a sentence: it keeps running, do not kill it
 *
 * The other end may be of an earlier or a later release. Each end ignores lines of an unknown type and unknown fields,
 * and keeps the connection; what is not answered in time is unknown to the other end. Types, fields and values may be
 * added, and those here keep their meaning. Only a line that is not JSON, or longer than 1 MiB, ends the connection.
 */

import type { Socket } from 'node:net';
import { join } from 'node:path';
import * as z from 'zod';
import { addressWithoutCredential } from '../base/database-address.ts';

/** Folder of a home, mode 0700: only the user that the supervisor runs as can write in it, and so decide what runs. */
export function runFolder(home: string): string {
  return join(home, 'run');
}
export const supervisorSocket = 'supervisor.sock';

/** Names of processes that can be adopted, one file for each, named by its process id. */
export function adoptableFolder(home: string): string {
  return join(runFolder(home), 'processes');
}

export const adoptableShape = z.object({ pid: z.int().positive(), birth: z.string(), name: z.string() });
export type Adoptable = z.output<typeof adoptableShape>;

export const orphanShape = z.object({
  type: z.literal('orphan'),
  pid: z.int().positive(),
  birth: z.string(),
  name: z.string(),
  kind: z.string(),
  release: z.string(),
  /** BRAMBLE_SETTINGS that it was started with. */
  settings: z.unknown(),
  /** Server and name of its database, without the credential; null for routers. */
  database: z.string().nullable(),
  ready: z.boolean(),
  /** It keeps running beside a successor of its name. */
  yields: z.boolean().default(false),
  /** Devices reach it. */
  serving: z.boolean().default(false),
  startedAtMs: z.number(),
});
export type Orphan = z.output<typeof orphanShape>;

/** `sockets` is what it hands over when asked; supervisors of 1.4 name nothing, and do not know the question. */
export const adoptedShape = z.object({ type: z.literal('adopted'), sockets: z.array(z.string()).optional() });

/** A process asks for a listening socket; its starter, over IPC, answers {type: 'socket', name} with the handle. */
export const wantShape = z.object({ type: z.literal('want-socket'), name: z.literal('console') });

export const handOverShape = z.object({ type: z.literal('hand-over'), release: z.string() });

/** Why a supervisor does not let another take over. */
export const refusedShape = z.object({ type: z.literal('refused'), reason: z.string() });

/** Names that only later releases know are ignored. */
export const socketsShape = z.object({
  type: z.literal('sockets'),
  folder: z.string(),
  names: z.array(z.string()),
});

/** Where a supervisor offers the socket that was asked for; nothing is there if it failed. */
export const offeredShape = z.object({ type: z.literal('socket'), name: z.literal('console'), folder: z.string() });

/** Prefix of the folder in which a process offers its sockets. */
export function offerFolderPrefix(pid: number): string {
  return `sockets-${pid}-`;
}

/** The id of the process that offers sockets in the folder of this name; null if it is another folder. */
export function offeringProcess(name: string): number | null {
  const pid = /^sockets-([1-9]\d*)-/.exec(name)?.[1];
  return pid === undefined ? null : Number(pid);
}

/** Server and database of an address, without user and password. */
export function databaseWithoutCredential(url: string): string {
  return addressWithoutCredential(url);
}

const maxLineBytes = 1024 * 1024;

/** Writes a value as a line. If the other end is gone the line is lost; the end of the socket shows that. */
export function sendLine(socket: Socket, value: unknown): void {
  if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
}

/**
 * Calls back with each line's value. A line that is not JSON, or too long, ends the connection. Errors show only as the
 * end that follows: the other side may be killed at any moment, and that must end nothing here.
 */
export function onLines(socket: Socket, take: (value: unknown) => void): void {
  let rest = '';
  socket.on('error', () => undefined);
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    try {
      if (rest.length > maxLineBytes) throw new Error('a line is too long');
      for (const line of lines) take(JSON.parse(line));
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

/** Resolves when the connection is closed, for whatever reason. */
export async function closed(socket: Socket): Promise<void> {
  if (socket.closed) return;
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

/** The type of a message; undefined when it has none. */
export function typeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
}
