/**
 * A cancel request on its way from a client's cancel connection to the server that runs the client's query.
 *
 *     client's cancel socket ──▶ CancelForward ──▶ own connection to the server's host ──▶ EOF
 *
 * The request is tied to the server it was made for. If that server is released before the request was sent, it is
 * dropped; once it was sent, the server is kept from other clients until PostgreSQL has closed the cancel connection: by
 * then the signal has been delivered. So it never hits another query.
 *
 * Counterpart: PgBouncer's `forward_cancel_request`, states active_cancel_req, waiting_cancel_req, active_cancel.
 */
import type { Connection, ConnectionEvents, TlsPeer } from "../net/transport.ts";
import type { Timer } from "../net/world.ts";
import type { Slot } from "../pool/slot.ts";
import { cancelRequest } from "../protocol/startup-messages.ts";
import type { Server } from "./server.ts";
import type { ServerPool } from "./server-pool.ts";

/** PostgreSQL answers a cancel request by closing; one that does not is not waited for longer. */
const CANCEL_SENT_MAX_MS = 10_000;

export class CancelForward implements ConnectionEvents {
  /** It is for no peer. */
  readonly peer = null;
  /** Whose query it is to end. */
  readonly target: Server;
  /** In the row of clients and servers; 0 until it connects. */
  id = 0;
  /** When it began to connect, milliseconds since 1970. */
  connectedWallTime = 0;
  readonly #done: (outcome: string) => void;
  #slot: Slot | null = null;
  #connection: Connection | null = null;
  #sent = false;
  #over = false;
  #deadline: Timer | null = null;

  /** `done` is called once: the client's cancel connection can be closed. */
  constructor(server: Server, done: (outcome: string) => void) {
    this.target = server;
    this.#done = done;
    server.cancels.add(this);
    server.pool.queueCancel(this);
  }

  /** Of the server it is for. */
  get pool(): ServerPool {
    return this.target.pool;
  }

  /** The request has left for the server. */
  get isSent(): boolean {
    return this.#sent;
  }

  /** It may connect. To where the server is: the same address, not a new look-up. */
  open(slot: Slot): void {
    this.#slot = slot;
    const { engine, address, connection } = this.target;
    const to =
      address.kind === "unix"
        ? { path: address.path.startsWith("@") ? `\0${address.path.slice(1)}` : address.path }
        : { host: connection?.remote.address ?? address.host, port: address.port };
    this.id = engine.nextId();
    this.connectedWallTime = engine.world.clock.wallTime();
    this.#connection = engine.world.transport.connect(to, this);
  }

  /** Its own connection; null while it waits for the permission to have one. */
  get connection(): Connection | null {
    return this.#connection;
  }

  /** The server is released or closed: what was not sent is dropped. */
  targetReleased(): void {
    if (!this.#sent) this.end("cancel request dropped: its query is over");
  }

  /** Whoever asked has gone: a request that was not sent is dropped. */
  abandoned(): void {
    if (!this.#sent) this.end("client gone");
  }

  /** Ends it, from whatever point. */
  end(outcome: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#deadline?.cancel();
    this.#connection?.destroy();
    const { cancels, pool } = this.target;
    cancels.delete(this);
    pool.dropCancel(this);
    this.#done(outcome);
    if (cancels.size === 0) pool.cancelsEnded(this.target);
    if (this.#connection === null) this.#giveBackSlot();
  }

  onOpen(): void {
    if (this.#over || this.#connection === null) return;
    this.#sent = true;
    this.#connection.write(cancelRequest(this.target.keyProcessId, this.target.keySecret));
    this.#deadline = this.target.engine.world.clock.after(CANCEL_SENT_MAX_MS, () => this.#giveUp());
  }

  /** The signal may still come: the server cannot be trusted with another client's query. */
  #giveUp(): void {
    this.target.close("cancel_wait_timeout");
    this.end("cancel_wait_timeout");
  }

  onData(): void {}
  onDrain(): void {}
  onSecure(_peer: TlsPeer): void {}

  onEnd(): void {
    this.end("successfully sent cancel request");
  }

  onClose(error: (Error & { code?: string }) | null): void {
    this.end(error === null ? "successfully sent cancel request" : "cancel connection failed");
    this.#giveBackSlot();
  }

  #giveBackSlot(): void {
    if (this.#slot === null) return;
    this.#slot.giveBack(this.target.engine.turn.now);
    this.#slot = null;
    this.target.pool.startCancels();
  }
}
