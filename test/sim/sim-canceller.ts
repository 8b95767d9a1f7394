/**
 * A cancel request on its way: a connection of its own that carries a key and waits for its end.
 */
import type { Buffer } from "node:buffer";
import type { Address, Connection, ConnectionEvents } from "../../src/net/transport.ts";
import type { SimWorld } from "./sim-world.ts";
import { cancelRequest } from "./wire.ts";

export class SimCanceller implements ConnectionEvents {
  /** When the connection was closed; null while the cancel may still take effect. */
  closedAtMs: number | null = null;
  readonly #world: SimWorld;
  readonly #key: Buffer;
  readonly #end: Connection;

  constructor(world: SimWorld, at: Address, key: Buffer) {
    this.#world = world;
    this.#key = key;
    this.#end = world.network.transport("actor").connect(at, this);
  }

  onOpen(): void {
    this.#end.write(cancelRequest(this.#key));
  }

  onData(bytes: Uint8Array): void {
    this.#world.chronicle.violate(`a cancel request was answered with ${bytes.length} bytes`);
  }

  onDrain(): void {}
  onSecure(): void {}

  onEnd(): void {
    this.#end.end();
  }

  onClose(): void {
    this.closedAtMs = this.#world.nowMs;
  }
}
