/** A row of SHOW FDS, of PgBouncer or of a pooler of our kind, as what a takeover makes sessions of. */
import { StoredSecret } from "../auth/stored-secret.ts";
import type { HandedSocket } from "../pooler/takeover.ts";
import { SocketTask } from "../pooler/takeover.ts";
import type { SessionForm } from "../session/session-form.ts";
import { readForm } from "../session/session-form.ts";

export interface ReadSocket extends HandedSocket {
  /** The session was written down whole. */
  readonly tellsAll: boolean;
}

/** Its place in the row. */
const At = {
  fd: 0,
  task: 1,
  user: 2,
  database: 3,
  address: 4,
  port: 5,
  cancel: 6,
  link: 7,
  parameters: 8,
  password: 12,
  scramClientKey: 13,
  scramServerKey: 14,
  session: 15,
} as const;

const PARAMETERS = ["client_encoding", "standard_conforming_strings", "DateStyle", "TimeZone"] as const;

/** `values`: of the row's columns; `fd`: what came with it. Null for what is no such row. */
export function readHandedSocket(values: readonly (Uint8Array | null)[], fd: number): ReadSocket | null {
  const text = (at: number): string | null => {
    const value = values[at];
    return value === null || value === undefined ? null : Buffer.from(value).toString("utf8");
  };
  const task = text(At.task);
  const address = text(At.address);
  if (address === null || !isTask(task)) return null;
  const session = text(At.session);
  const told = session === null ? null : readForm(session);
  const tellsAll = told !== null && (told.kind === task || (told.kind === "fresh" && task === SocketTask.client));
  const password = text(At.password);
  const link = Number(text(At.link) ?? 0);
  return {
    task,
    fd,
    oldFd: Number(text(At.fd) ?? 0),
    link,
    user: text(At.user),
    database: text(At.database),
    address,
    port: Number(text(At.port) ?? 0),
    secret: password === null || password === "" ? null : new StoredSecret(password),
    scramClientKey: bytes(text(At.scramClientKey)),
    scramServerKey: bytes(text(At.scramServerKey)),
    form: tellsAll ? told : formOf(task, text),
    tellsAll,
  };
}

/** As much of a session as PgBouncer tells. */
function formOf(task: SocketTask, text: (at: number) => string | null): SessionForm | null {
  if (task === SocketTask.pooler) return null;
  const key = BigInt.asUintN(64, BigInt(text(At.cancel) ?? 0));
  const session = {
    keyProcessId: Number(key >> 32n),
    keySecret: (key & 0xffffffffn).toString(16).padStart(8, "0"),
    parameters: PARAMETERS.flatMap((name, index) => {
      const value = text(At.parameters + index);
      return value === null ? [] : [[name, value] as const];
    }),
    statements: [],
  };
  if (task === SocketTask.client) return { kind: "client", ...session, replication: "", unread: "" };
  return {
    kind: "server",
    ...session,
    host: "",
    status: null,
    pipeline: null,
    ageMs: 0,
    quietMs: 0,
    closeNeeded: false,
    origin: null,
    welcome: null,
  };
}

function isTask(text: string | null): text is SocketTask {
  return text === SocketTask.pooler || text === SocketTask.client || text === SocketTask.server;
}

/** Of a bytea in text format; null for none. */
function bytes(text: string | null): Uint8Array | null {
  return text?.startsWith("\\x") === true ? Buffer.from(text.slice(2), "hex") : null;
}
