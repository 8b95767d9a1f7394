/** What one client of the soak does next: the shape that all operations have, and what they are given. */
import type { Random } from "../sim/random.ts";
import type { Draws } from "./draws.ts";
import type { Ledger } from "./ledger.ts";
import type { SoakConnection } from "./soak-connection.ts";
import type { SoakSession } from "./soak-session.ts";
import type { Versions } from "./versions.ts";

export interface OperationCall {
  /** The client's number, from 0. */
  readonly client: number;
  readonly connection: SoakConnection;
  readonly session: SoakSession;
  readonly random: Random;
  readonly ledger: Ledger;
  readonly versions: Versions;
  readonly draws: Draws;
  /** A text that no other operation of any client has: what comes back with it is ours. Letters, digits and `-`. */
  readonly token: string;
}

export interface Operation {
  readonly name: string;
  /** How often it is chosen, beside the others. */
  readonly weight: number;
  /** Asks, waits for the whole answer and checks it. Leaves the connection outside a transaction. */
  run(call: OperationCall): Promise<void>;
}
