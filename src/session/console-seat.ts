/** Hands a client's messages to the console one at a time: the next one when the one before has been answered. */
import type { Framer } from "../protocol/framer.ts";
import type { Client } from "./client.ts";
import type { Console } from "./console.ts";

export class ConsoleSeat {
  readonly #console: Console;
  #busy = false;
  #handing = false;

  constructor(console: Console) {
    this.#console = console;
  }

  /** Hands over the whole message that `framer` offers. False when it has to wait. */
  take(client: Client, framer: Framer, memory: Uint8Array): boolean {
    if (this.#busy) return false;
    const { at, type, size } = framer;
    framer.advance();
    this.#busy = true;
    this.#handing = true;
    this.#console.receive(client, type, memory, at, size);
    this.#handing = false;
    return true;
  }

  /** The console has answered. True when that came later: whoever waited has to be looked at again. */
  answered(): boolean {
    this.#busy = false;
    return !this.#handing;
  }
}
