/**
 * One entry of `[peers]`: another pooler of the same group, to which cancel requests of its clients are passed on.
 *
 * An entry for the own peer_id is allowed and not used. Counterpart: parse_peer in loader.c.
 */
import type { ConfigPlace } from "./config-problem.ts";
import { invalidValue } from "./config-problem.ts";
import type { EntryDialect, EntryKeyRow, Findings } from "./entry-keys.ts";
import { notNegative, readEntry } from "./entry-keys.ts";

export const PEER_ID_MAX = 65535;

const PORT_DEFAULT = 6432;

export interface PeerEntry {
  /** 1 to PEER_ID_MAX. */
  readonly id: number;
  readonly host: string;
  readonly port: number;
  /** Cancel connections in flight; null = default_pool_size. */
  readonly poolSize: number | null;
}

/** The keys of an entry, for the reader and the reference page. */
export const PEER_KEYS: readonly EntryKeyRow[] = [
  {
    key: "host",
    type: "hosts",
    default: "must be given",
    doc: "Name or address of the peer, or its socket directory.",
  },
  { key: "port", type: "port", default: "6432", doc: "Port of the peer." },
  { key: "pool_size", type: "number", default: "default_pool_size", doc: "Cancel requests in flight to the peer." },
];

const DIALECT: EntryDialect = {
  rows: PEER_KEYS,
  syntaxError: "syntax error in connection string",
  unknownKey: "unrecognized connection parameter",
};

/** Reads a line of `[peers]`; its key is the peer's id. Null when it is refused; then `findings.problems` says why. */
export function readPeerEntry(idText: string, value: string, place: ConfigPlace, findings: Findings): PeerEntry | null {
  const id = /^[0-9]{1,5}$/.test(idText) ? Number(idText) : 0;
  if (id < 1 || id > PEER_ID_MAX) {
    const reason = `ids of peers must be a number larger than 0 and at most ${PEER_ID_MAX}`;
    findings.problems.push(invalidValue(place, idText, value, reason));
    return null;
  }
  const values = readEntry(DIALECT, idText, value, place, findings);
  if (values === null) return null;
  const host = values.text("host");
  if (host === null) {
    findings.problems.push(invalidValue(place, idText, value, `host was not provided for peer ${id}`));
    return null;
  }
  const port = values.number("port") ?? PORT_DEFAULT;
  return Object.freeze({ id, host, port, poolSize: notNegative(values.number("pool_size")) });
}
