/**
 * A cancel request on its way to the peer whose client it is for.
 *
 *     client's cancel socket ──▶ PeerForward ──▶ own connection to the peer ──▶ EOF
 *
 * The peer closes when the request has been dealt with, wherever it had to go from there; then the client's socket is
 * closed too. Never over TLS, as all cancel requests that poolers send.
 *
 * Counterpart: PgBouncer's `accept_cancel_request_for_peer` and `forward_cancel_request`.
 */
import { serverAddress } from "../config/server-address.ts";
import { isLiteralAddress } from "../net/literal-address.ts";
import type { Address, Connection, ConnectionEvents, TlsPeer } from "../net/transport.ts";
import type { Timer } from "../net/world.ts";
import { cancelRequest } from "../protocol/startup-messages.ts";
import { logClosing } from "./log-closing.ts";
import type { PeerPool } from "./peer-pool.ts";

/**
 * A peer keeps a request for as long as its own `cancel_wait_timeout` and PostgreSQL say, and may have passed it on itself:
 * one that takes longer than this has lost it.
 */
const PEER_ANSWER_MAX_MS = 60_000;

export class PeerForward implements ConnectionEvents {
  /** It is for no server of ours. */
  readonly pool = null;
  readonly peer: PeerPool;
  readonly #packet: Uint8Array;
  readonly #done: (outcome: string) => void;
  #id = 0;
  /** Host and port for the log. */
  #place = "";
  #openedAt = 0;
  #connection: Connection | null = null;
  #deadline: Timer | null = null;
  /** The request has left for the peer. */
  isSent = false;
  isOver = false;

  /** `secret`: as the peer is to have it. `done` is called once, later: the client's cancel connection can be closed. */
  constructor(peer: PeerPool, processId: number, secret: Uint8Array, done: (outcome: string) => void) {
    this.peer = peer;
    this.#packet = cancelRequest(processId, secret);
    this.#done = done;
    peer.add(this);
  }

  /** The prefix of its log lines. */
  toString(): string {
    return `S-0x${this.#id.toString(16).padStart(12, "0")}: peer-${this.peer.id}@${this.#place}`;
  }

  /** Its turn has come: resolves the name, if it is one, and connects. */
  open(): void {
    const { engine, entry } = this.peer;
    const { clock } = engine.world;
    this.#id = engine.nextId();
    this.#openedAt = engine.turn.now;
    const limitMs = engine.settings.serverConnectTimeoutMs;
    if (limitMs > 0) this.#deadline = clock.after(limitMs, () => this.end("connect timeout"));
    const at = serverAddress(entry.host, entry.port);
    if (at.kind === "unix") {
      this.#place = `unix:${entry.port}`;
      this.#connect({ path: at.path.startsWith("@") ? `\0${at.path.slice(1)}` : at.path });
      return;
    }
    this.#place = `${at.host.includes(":") ? `[${at.host}]` : at.host}:${at.port}`;
    if (isLiteralAddress(at.host)) {
      this.#connect({ host: at.host, port: at.port });
      return;
    }
    engine.names.lookUp(at.host, (host) => {
      if (this.isOver) return;
      if (host === null) this.end("server DNS lookup failed");
      else this.#connect({ host, port: at.port });
    });
  }

  #connect(to: Address): void {
    this.#connection = this.peer.engine.world.transport.connect(to, this);
  }

  /** Whoever asked has gone: a request that was not sent is dropped. */
  abandoned(): void {
    if (!this.isSent) this.end("client gone");
  }

  /** Ends it, from whatever point. */
  end(outcome: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#deadline?.cancel();
    if (this.#id !== 0) logClosing(this.peer.engine, `${this}`, outcome, this.#openedAt);
    if (this.#connection === null) this.peer.left(this);
    else this.#connection.destroy();
    this.#done(outcome);
  }

  onOpen(): void {
    if (this.isOver || this.#connection === null) return;
    const { settings, log, world } = this.peer.engine;
    const { address, port } = this.#connection.local;
    if (settings.logConnections) {
      const from = address === "" ? "" : ` (from ${address.includes(":") ? `[${address}]` : address}:${port})`;
      log.log(`${this} new connection to server${from}`);
    }
    this.#deadline?.cancel();
    this.#deadline = world.clock.after(PEER_ANSWER_MAX_MS, () => this.end("cancel_wait_timeout"));
    this.isSent = true;
    this.#connection.write(this.#packet);
  }

  onData(): void {}
  onDrain(): void {}
  onSecure(_peer: TlsPeer): void {}

  onEnd(): void {
    this.end("successfully sent cancel request");
  }

  onClose(error: (Error & { code?: string }) | null): void {
    if (!this.isSent) this.peer.engine.names.suspect(this.peer.entry.host);
    this.end(
      this.isSent ? (error === null ? "successfully sent cancel request" : "server conn crashed?") : "connect failed",
    );
    this.peer.left(this);
  }
}
