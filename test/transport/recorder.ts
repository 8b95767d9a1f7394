/**
 * The other side of the interface: events written down in order, with hooks a test may put in their place.
 */
import type { Connection, ConnectionEvents, TlsPeer } from "../../src/net/transport.ts";

export class Recorder implements ConnectionEvents {
  connection: Connection | null = null;
  /** Names of the events in order; runs of "data" and of "drain" count once. */
  readonly log: string[] = [];
  readonly chunks: Uint8Array[] = [];
  sizeBytes = 0;
  drains = 0;
  peer: TlsPeer | null = null;
  ended = false;
  closed = false;
  error: (Error & { code?: string }) | null = null;
  /** Hooks: run after the event was written down. */
  whenOpen: (() => void) | null = null;
  whenData: ((bytes: Uint8Array) => void) | null = null;
  whenDrain: (() => void) | null = null;
  whenSecure: (() => void) | null = null;
  whenEnd: (() => void) | null = null;
  whenClose: (() => void) | null = null;
  keepBytes = true;

  get wire(): Connection {
    if (this.connection === null) throw new Error("this recorder has no connection yet");
    return this.connection;
  }

  get opened(): boolean {
    return this.log.includes("open");
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  get text(): string {
    return this.bytes.toString("latin1");
  }

  onOpen(): void {
    this.#note("open");
    this.whenOpen?.();
  }

  onData(bytes: Uint8Array): void {
    this.#note("data");
    this.sizeBytes += bytes.length;
    if (this.keepBytes) this.chunks.push(bytes);
    this.whenData?.(bytes);
  }

  onDrain(): void {
    this.#note("drain");
    this.drains++;
    this.whenDrain?.();
  }

  onSecure(peer: TlsPeer): void {
    this.#note("secure");
    this.peer = peer;
    this.whenSecure?.();
  }

  onEnd(): void {
    this.#note("end");
    this.ended = true;
    this.whenEnd?.();
  }

  onClose(error: (Error & { code?: string }) | null): void {
    this.#note("close");
    this.closed = true;
    this.error = error;
    this.whenClose?.();
  }

  #note(event: string): void {
    if (this.log.at(-1) !== event || event === "close" || event === "open") this.log.push(event);
  }
}
