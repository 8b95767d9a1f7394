/**
 * What the table of transport tests asks of a transport it is put to, and the steps its tests are made of.
 */
import { afterEach, beforeEach } from "vitest";
import type { Address, Connection, Listener, ListenOptions, Transport } from "../../src/net/transport.ts";
import { Recorder } from "./recorder.ts";

export interface Subject {
  createTransport(): Transport;
  /** Whether the TLS library can (BoringSSL cannot); of no meaning without TLS. */
  readonly choosesTls13Ciphers?: boolean;
  /** Where a test listens: port 0 of some address. */
  readonly anywhere: { readonly host: string; readonly port: number };
  /** Lets the world go on until `condition` holds; rejects with `what` when it does not within some seconds. */
  until(condition: () => boolean, what: string): Promise<void>;
  /** Lets the world go on for so long that anything on its way has arrived. */
  quiet(): Promise<void>;
}

/** A listener, the recorders of what it accepted, and how to connect to it. Everything is closed after the test. */
export class Bench {
  readonly subject: Subject;
  readonly transport: Transport;
  readonly accepted: Recorder[] = [];
  readonly #listeners: Listener[] = [];
  readonly #connections: Connection[] = [];
  /** Changes the recorder of an accepted connection before its first event. */
  whenAccepted: ((recorder: Recorder) => void) | null = null;

  constructor(subject: Subject) {
    this.subject = subject;
    this.transport = subject.createTransport();
  }

  async listen(at: Address = this.subject.anywhere, options: ListenOptions = {}): Promise<Listener> {
    const listener = await this.transport.listen(at, options, (connection) => {
      const recorder = new Recorder();
      recorder.connection = connection;
      this.#connections.push(connection);
      this.accepted.push(recorder);
      this.whenAccepted?.(recorder);
      return recorder;
    });
    this.#listeners.push(listener);
    return listener;
  }

  connect(to: Address, recorder: Recorder = new Recorder()): Recorder {
    recorder.connection = this.transport.connect(to, recorder);
    this.#connections.push(recorder.connection);
    return recorder;
  }

  to(listener: Listener): Address {
    return { host: this.subject.anywhere.host, port: listener.port };
  }

  /** Both ends of a new connection, open. */
  async pair(at: Address = this.subject.anywhere): Promise<{ client: Recorder; server: Recorder; listener: Listener }> {
    const listener = await this.listen(at);
    const before = this.accepted.length;
    const client = this.connect("path" in at ? at : this.to(listener));
    await this.until(() => client.opened && this.accepted.length > before, "a connection");
    return { client, server: this.accepted[before] as Recorder, listener };
  }

  until(condition: () => boolean, what: string): Promise<void> {
    return this.subject.until(condition, what);
  }

  quiet(): Promise<void> {
    return this.subject.quiet();
  }

  async close(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    for (const connection of this.#connections) connection.destroy();
    await this.quiet();
  }
}

/** A bench for each test of the surrounding `describe`. */
export function benches(subject: Subject): () => Bench {
  let bench: Bench | null = null;
  beforeEach(() => {
    bench = new Bench(subject);
  });
  afterEach(async () => {
    await bench?.close();
    bench = null;
  });
  return () => {
    if (bench === null) throw new Error("only within a test");
    return bench;
  };
}

/** Bytes that differ at every place, so that a lost or doubled piece shows. */
export function pattern(sizeBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  let state = seed >>> 0;
  for (let i = 0; i < sizeBytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
