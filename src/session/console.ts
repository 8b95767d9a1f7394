/** The console as a session sees it: something that answers queries. `admin/` is behind it. */
import type { Client } from "./client.ts";

export interface Console {
  /** ParameterStatus of the welcome, in order. */
  readonly parameters: readonly (readonly [name: string, value: string])[];
  /**
   * The message at [at, at + size) of a client of the console. Answers with `client.send`, now or later; `client.consoleBusy`
   * is true until then and the next message waits.
   */
  receive(client: Client, type: number, memory: Uint8Array, at: number, size: number): void;
  /** A cancel request came for a client of the console. */
  cancel(client: Client): void;
  /** The client is gone. */
  left(client: Client): void;
}
