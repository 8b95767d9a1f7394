/**
 * Sessions written down: what another process needs to go on with a client or a server whose socket it has been given.
 *
 * Plain objects that survive JSON. Passwords and keys are not among it: they go their own way, in fields that nothing
 * prints. A session is written down at rest: nothing of it is in this process's memory, and its connection stands between
 * two messages. The way back is `session-heir.ts`.
 */
import type { DatabaseEntry } from "../config/database-entry.ts";
import type { PipelineForm } from "../pipeline/pipeline-form.ts";
import { isPipelineForm } from "../pipeline/pipeline-form.ts";
import type { ParameterValues, TrackedParameters } from "../state/tracked-parameters.ts";
import { Client } from "./client.ts";
import type { DeferredBeginForm } from "./deferred-begin.ts";
import { isDeferredBeginForm } from "./deferred-begin.ts";
import type { Server } from "./server.ts";

type Pair = readonly [name: string, value: string];

export interface ClientForm {
  readonly kind: "client";
  readonly keyProcessId: number;
  /** In hexadecimal digits. */
  readonly keySecret: string;
  /** Tracked parameters that are known. */
  readonly parameters: readonly Pair[];
  /** What its statements are called by itself and, behind `PGBOUNCER_`, by servers; and `PreparedStatement.key`. */
  readonly statements: readonly (readonly [name: string, serial: number, key: string])[];
  /** In the words of the startup packet. */
  readonly replication: string;
  /** What it has sent while it waited for a server, in base64. */
  readonly unread: string;
  /** Its BEGIN that no server knows of; left out where there is none. */
  readonly begin?: DeferredBeginForm;
}

/** A client that has connected and has said nothing yet. */
export interface FreshForm {
  readonly kind: "fresh";
}

export type SessionForm = ClientForm | ServerForm | FreshForm;

export interface ServerForm {
  readonly kind: "server";
  readonly keyProcessId: number;
  /** In hexadecimal digits. */
  readonly keySecret: string;
  readonly parameters: readonly Pair[];
  readonly statements: readonly (readonly [serial: number, key: string])[];
  /** The host as it is configured; empty for a Unix socket. */
  readonly host: string;
  /** Status of the last ReadyForQuery, a byte; null when it is not known. */
  readonly status: number | null;
  /** What its holder has asked; null when it is not known. */
  readonly pipeline: PipelineForm | null;
  /** Since it was opened, and since it was last heard of. */
  readonly ageMs: number;
  readonly quietMs: number;
  readonly closeNeeded: boolean;
  /** What it was opened with: another configuration has other servers. Null when it is not known. */
  readonly origin: string | null;
  /** What its pool tells clients at their login beside tracked parameters; null when it does not know. */
  readonly welcome: readonly Pair[] | null;
}

export function writeClient(client: Client): ClientForm {
  const statements: [string, number, string][] = [];
  if (client.statementCount > 0) {
    for (const [name, { serial, key }] of client.statements.entries()) statements.push([name, serial, key]);
  }
  const begin = client.begin?.written() ?? null;
  const secret = new Uint8Array(4);
  new DataView(secret.buffer).setUint32(0, client.keySecret);
  return {
    kind: "client",
    keyProcessId: client.keyProcessId,
    keySecret: Buffer.from(secret).toString("hex"),
    parameters: knownParameters(client.engine.parameters, client.parameters),
    statements,
    replication: client.replication,
    unread: Buffer.from(client.framer.buf.subarray(client.framer.at, client.framer.end)).toString("base64"),
    ...(begin === null ? {} : { begin }),
  };
}

/** Null when another process could not go on with what is asked of it. */
export function writeServer(server: Server): ServerForm | null {
  const { engine, pool } = server;
  const begin = server.holder instanceof Client ? server.holder.begin : null;
  const pipeline = server.pipeline.isUnknown ? null : server.pipeline.written(begin);
  if (pipeline === null && !server.pipeline.isUnknown) return null;
  const { now } = engine.turn;
  return {
    kind: "server",
    keyProcessId: server.keyProcessId,
    keySecret: Buffer.from(server.keySecret).toString("hex"),
    parameters: knownParameters(engine.parameters, server.parameters),
    statements: [...server.statements.all()].map(({ serial, key }) => [serial, key] as const),
    host: server.hostName,
    status: server.status,
    pipeline,
    ageMs: Math.max(0, Math.round(now - server.openedAt)),
    quietMs: Math.max(0, Math.round(now - server.usedAt)),
    closeNeeded: server.closeNeeded || server.dirty,
    origin: originOf(pool.database.entry),
    welcome: pool.welcome === null ? null : [...pool.welcome.untracked],
  };
}

/** What a server of this entry is opened with, but for the password. */
export function originOf(entry: DatabaseEntry): string {
  const { dbname, hosts, port, user, connectQuery, startupParameters } = entry;
  return JSON.stringify([dbname, hosts, port, user, connectQuery, startupParameters]);
}

/** A form that came as JSON, null for what is none: it is of another version, or no process of ours has written it. */
export function readForm(text: string): SessionForm | null {
  let form: Partial<Record<keyof ClientForm | keyof ServerForm, unknown>>;
  try {
    form = JSON.parse(text) as typeof form;
  } catch {
    return null;
  }
  if (typeof form !== "object" || form === null) return null;
  if (form.kind === "fresh") return { kind: "fresh" };
  const { keyProcessId, keySecret, parameters, statements } = form;
  const hasKey = Number.isInteger(keyProcessId) && typeof keySecret === "string";
  if (!hasKey || !Array.isArray(statements) || !isPairs(parameters)) return null;
  if (form.kind === "client") {
    if (form.begin !== undefined && !isDeferredBeginForm(form.begin)) return null;
    return typeof form.replication === "string" && typeof form.unread === "string" ? (form as ClientForm) : null;
  }
  const { kind, pipeline, welcome } = form;
  const isServer = kind === "server" && (pipeline === null || isPipelineForm(pipeline));
  return isServer && (welcome === null || isPairs(welcome)) ? (form as ServerForm) : null;
}

function isPairs(value: unknown): value is readonly Pair[] {
  return (
    Array.isArray(value) &&
    value.every((pair) => Array.isArray(pair) && pair.length === 2 && pair.every((word) => typeof word === "string"))
  );
}

function knownParameters(tracked: TrackedParameters, values: ParameterValues): Pair[] {
  return tracked.names.flatMap((name, index) => {
    const value = values[index];
    return value === null || value === undefined ? [] : [[name, value] as const];
  });
}
