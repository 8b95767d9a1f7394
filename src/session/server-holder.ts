/**
 * Who may hold a server, and who may ask a pool for one: what `Server` and `ServerPool` need to know of them.
 *
 * Clients are the usual ones. A look-up of auth_query asks and holds like a client; a drain (`server-drain.ts`) takes a server over
 * from a client that has gone.
 */
import type { EntryOwner } from "../pipeline/pipeline.ts";
import type { Waiting } from "../pool/wait-queue.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { ClientState } from "./client-state.ts";
import type { Dedication } from "./dedication.ts";
import type { Ride } from "./ride.ts";
import type { Server } from "./server.ts";
import type { UnitClock } from "./unit-clock.ts";

export interface ServerHolder extends EntryOwner {
  /** Of the client on whose behalf it holds the server: `link` in SHOW. */
  readonly id: number;
  /** It has sent the server the beginning of a message and not its end. */
  readonly isMidMessage: boolean;
  /** What query_timeout and its like are reckoned from; null for a holder with a deadline of its own. */
  readonly clock: UnitClock | null;
  /** The tracked parameters that the server is, or is to be, in. */
  parameters: ParameterValues;
  /** The server takes data again. */
  serverDrained(): void;
  /** The server has closed. `cut`: in the middle of a message to this holder. */
  serverLost(server: Server, error: ErrorToSend, cut: boolean): void;
  /** DEALLOCATE ALL or DISCARD ALL has run. */
  forgetStatements(): void;
}

export interface ServerSeeker extends ServerHolder {
  readonly waiting: Waiting<ServerSeeker>;
  /** It wants a server of its own; null: any that is free. */
  readonly dedication: Dedication | null;
  /** It works for a client: SHOW STATS counts what it asks for. */
  readonly isCounted: boolean;
  /** How it shares servers; null for one that has never. */
  readonly ride: Ride | null;
  /** It is going to wait: whether its unit may ride on a server with others'. */
  mayShare(): boolean;
  /** Its pool says what it does now: waits, or holds a server. */
  entered(state: ClientState): void;
  /** It has waited, and `server` is its own now. */
  served(server: Server): void;
  /** It will not be given a server. */
  fail(error: ErrorToSend): void;
}
