/**
 * TLS between client and pooler, one certificate and every program's own defaults for the rest: 64 clients on 4 servers,
 * and logins (`pgbench -C`), each of which is a whole handshake. The way to PostgreSQL is as in all other parts.
 */
import type { LoadCase } from "./bench-results.ts";
import { type LoadTools, poolersOfCase, runLoadCase } from "./load-part.ts";
import { Part, Protocol } from "./options.ts";
import { Workload } from "./workload.ts";

const CLIENTS = 64;
const LOGIN_CLIENTS = 16;
const POOL_SIZE = 4;

/** Runs the part for every pooler, or says why it cannot. */
export async function runTlsPart(tools: LoadTools): Promise<LoadCase[] | string> {
  const { options } = tools;
  if (options.unixSockets) return "TLS: there is none over Unix sockets";
  const base = { part: Part.tls, workload: Workload.select, protocol: Protocol.simple, tls: true };
  const keys = poolersOfCase(options, POOL_SIZE);
  return [
    await runLoadCase(tools, { ...base, clients: CLIENTS }, keys),
    await runLoadCase(tools, { ...base, clients: LOGIN_CLIENTS, reconnect: true }, keys),
  ];
}
