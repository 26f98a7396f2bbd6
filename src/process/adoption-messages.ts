/**
 * What a process without a supervisor and a supervisor say to each other at the Unix socket in the home, one JSON value a
 * line, and the file by which a process says beforehand that it can do so.
 *
 *   process                                    supervisor
 *   {type: 'orphan', …}                   →
 *                                         ←    {type: 'adopted'}
 *                                         ←    {type: 'hand-sockets'}   to routers
 *   {type: 'sockets', names, folder}      →                             each is sent to whoever connects to its path
 *   {type: 'ready' | 'serving' | 'alive'} →    as over IPC
 *
 *   another supervisor                         supervisor
 *   {type: 'hand-over', release}          →
 *                                         ←    {type: 'handing-over'}, and then it lets go of everything and ends
 *                                         ←    {type: 'refused', reason}, a sentence: it goes on, and is not killed
 *
 * Releases before and after this one are at the other end. For all of them: a line of a type that one does not know is ignored,
 * before and between those that it knows, and so is a field; the connection stays, and what is not answered in time is not known there.
 * Types, fields and values may be added, and what is here keeps its meaning. Only a line that is no JSON, or longer than 1 MiB, ends the connection.
 */
import type { Socket } from 'node:net';
import { join } from 'node:path';
import * as z from 'zod';

/** Folder of a home, mode 0700: whoever can write in it is the user that the supervisor runs as, and decides what runs. */
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
  /** What it was started with. */
  settings: z.unknown(),
  /** Of the database it was given: server and database, without the credential. null for routers. */
  database: z.string().nullable(),
  ready: z.boolean(),
  /** It goes on beside a successor of its name. */
  yields: z.boolean().default(false),
  /** Devices reach it. */
  serving: z.boolean().default(false),
  startedAtMs: z.number(),
});
export type Orphan = z.output<typeof orphanShape>;

export const handOverShape = z.object({ type: z.literal('hand-over'), release: z.string() });

/** A supervisor says why it does not let another take over. */
export const refusedShape = z.object({ type: z.literal('refused'), reason: z.string() });

/** Names of later releases among them are nobody's here. */
export const socketsShape = z.object({
  type: z.literal('sockets'),
  folder: z.string(),
  names: z.array(z.string()),
});

/** How the folder begins in which a process offers its sockets. */
export function offerFolderPrefix(pid: number): string {
  return `sockets-${pid}-`;
}

/** Of the folder with the name: the id of the process that offers there; null where it is no such folder. */
export function offeringProcess(name: string): number | null {
  const pid = /^sockets-([1-9]\d*)-/.exec(name)?.[1];
  return pid === undefined ? null : Number(pid);
}

/** Server and database of an address, without user and password. */
export function databaseWithoutCredential(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${pathname}`;
}

const maxLineBytes = 1024 * 1024;

/** Writes a value as a line; one that no longer reaches anybody is lost, and the socket's end tells so. */
export function sendLine(socket: Socket, value: unknown): void {
  if (socket.writable) socket.write(`${JSON.stringify(value)}\n`);
}

/**
 * Calls back with each line's value. What is no JSON, or too long, ends the connection. Errors are told by the end that follows:
 * whoever is at the other side may be killed at any moment, and that ends nothing here.
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

/** Of a value from the other side; undefined when it has none. */
export function typeOf(value: unknown): unknown {
  return typeof value === 'object' && value !== null && 'type' in value ? value.type : undefined;
}
