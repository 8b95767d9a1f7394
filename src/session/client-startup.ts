/**
 * From an accepted socket to a startup packet that has been understood: encryption requests, TLS, cancel requests. Who the
 * client is and whether it may come in is `client-authentication.ts`'s.
 *
 *   ─▶ 0x16 ─────────────▶ TLS ──┐
 *   ─▶ SSLRequest ─S─────▶ TLS ──┤
 *   ─▶ SSLRequest ─N─┐           │
 *   ─▶ GSSENCRequest N ▶─────────┴▶ startup ─▶ authentication ─▶ pool (waits for its welcome)
 *   ─▶ CancelRequest ─▶ forwarded, and closed when that is done
 *
 * One packet is dealt with at a time; what comes behind it waits in `#early` or in the client's framer.
 *
 * Counterpart: PgBouncer's `handle_client_startup`.
 */
import { SslMode } from "../config/setting-words.ts";
import type { TlsPeer } from "../net/transport.ts";
import { negotiateProtocolVersion } from "../protocol/backend-messages.ts";
import type { StartupRequest } from "../protocol/startup.ts";
import { PROTOCOL_3_0, extensionNames, readStartupPacket } from "../protocol/startup.ts";
import { takeCancelRequest } from "./cancel-request.ts";
import type { CancelRoad } from "./cancel-request.ts";
import type { Client } from "./client.ts";
import { ClientAuthentication } from "./client-authentication.ts";
import type { Database } from "./database.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import type { PeerPool } from "./peer-pool.ts";
import type { ServerPool } from "./server-pool.ts";
import { takeStartupParameters } from "./startup-parameters.ts";

const TLS_HANDSHAKE = 0x16;
const ANSWER_YES = Uint8Array.of(0x53);
const ANSWER_NO = Uint8Array.of(0x4e);
const NO_BYTES = new Uint8Array(0);

const Phase = {
  /** Packets without a type byte. */
  packets: "packets",
  /** The TLS handshake runs. */
  handshake: "handshake",
  authentication: "authentication",
  /** A cancel request is on its way. */
  canceling: "canceling",
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

export class ClientStartup {
  readonly #client: Client;
  readonly #isUnixSocket: boolean;
  /** "unix(4711):6432", for log lines. */
  readonly unixSource: string;
  #phase: Phase = Phase.packets;
  #early: Uint8Array = NO_BYTES;
  #secure = false;
  #certificate: Uint8Array | null = null;
  #authentication: ClientAuthentication | null = null;
  #cancel: CancelRoad | null = null;

  constructor(client: Client, isUnixSocket: boolean, listenPort: number) {
    this.#client = client;
    this.#isUnixSocket = isUnixSocket;
    if (isUnixSocket) {
      const peer = client.engine.world.peerCredentials(client.connection.fd);
      this.unixSource = peer === null ? `unix:${listenPort}` : `unix(${peer.pid}):${listenPort}`;
    } else {
      this.unixSource = "";
    }
  }

  get isUnixSocket(): boolean {
    return this.#isUnixSocket;
  }

  /** Nothing has come yet. */
  get isSilent(): boolean {
    return this.#phase === Phase.packets && this.#early.length === 0 && !this.#secure;
  }

  /** It waits for the first login of its pool. */
  get isGreeting(): boolean {
    return this.#authentication !== null && this.#authentication.isGreeting;
  }

  /** Its auth_query waits for a server. */
  get authenticationWaits(): { readonly since: number; readonly database: Database | null } | null {
    const authentication = this.#authentication;
    const since = authentication === null ? null : authentication.queryWaitsSince;
    return authentication === null || since === null ? null : { since, database: authentication.database };
  }

  /** It carries a cancel request. */
  get isCanceling(): boolean {
    return this.#cancel !== null;
  }

  get isCancelSent(): boolean {
    return this.#cancel !== null && this.#cancel.isSent;
  }

  /** Whose server the cancel request is for; null for a client that carries none, or one for a peer. */
  get cancelPool(): ServerPool | null {
    return this.#cancel === null ? null : this.#cancel.pool;
  }

  /** The peer that the cancel request is for. */
  get cancelPeer(): PeerPool | null {
    return this.#cancel === null ? null : this.#cancel.peer;
  }

  /** For the log: whom the cancel request is for. Null for a client that carries none. */
  get cancelWhose(): string | null {
    const { cancelPeer, cancelPool } = this;
    if (cancelPeer !== null) return `peer-${cancelPeer.id}`;
    return cancelPool === null ? null : `${cancelPool.database.name}/(nouser)`;
  }

  /** What a connection that ends now is logged with; null: not at all, as it may be a health probe or a change of mind. */
  closeReason(error: (Error & { code?: string }) | null): string | null {
    if (this.#phase === Phase.handshake && error !== null) return `TLS handshake error: ${error.message}`;
    const stopsMidMessage = this.#early.length > 0 || this.#client.framer.pending > 0;
    return stopsMidMessage ? "client unexpected eof" : null;
  }

  receive(bytes: Uint8Array): void {
    if (this.#phase === Phase.packets) {
      this.#early = this.#early.length === 0 ? bytes : Buffer.concat([this.#early, bytes]);
      this.#readPackets();
      return;
    }
    if (this.#authentication === null) return;
    this.#client.framer.push(bytes);
    this.#authentication.received();
  }

  secured(peer: TlsPeer): void {
    const { tls } = this.#client.engine;
    const strict = tls.clientMode === SslMode.verifyCa || tls.clientMode === SslMode.verifyFull;
    const problem = peer.certificate === null ? (strict ? "peer did not return a certificate" : null) : peer.chainError;
    if (problem !== null && (strict || tls.client()?.ca !== undefined)) {
      this.#client.engine.log.warning(`${this.#client} TLS handshake error: certificate verify failed: ${problem}`);
      this.#client.close(`TLS handshake error: certificate verify failed: ${problem}`);
      return;
    }
    this.#secure = true;
    this.#certificate = peer.certificate;
    this.#phase = Phase.packets;
  }

  // ── Packets without a type byte ─────────────────────────────────────────────────────────────────────────────────

  #readPackets(): void {
    const client = this.#client;
    const tls = this.#isUnixSocket || this.#secure ? null : client.engine.tls.client();
    if (tls !== null && this.#early[0] === TLS_HANDSHAKE) {
      const early = this.#early;
      this.#early = NO_BYTES;
      this.#phase = Phase.handshake;
      client.connection.startTls("server", tls, early);
      return;
    }
    const packet = readStartupPacket(this.#early, 0, this.#early.length);
    switch (packet.kind) {
      case "incomplete":
        return;
      case "refused":
        if (packet.silent) client.close(packet.reason);
        else client.fail(poolerError(PoolerErrors.startup, packet.reason));
        return;
      case "ssl":
      case "gssenc":
        if (this.#early.length > packet.size) {
          const what = packet.kind === "ssl" ? "SSL request" : "GSSAPI encryption request";
          client.fail(poolerError(PoolerErrors.earlyData, what));
        } else if (this.#secure) {
          client.close(`${packet.kind} request inside TLS`);
        } else {
          this.#early = NO_BYTES;
          this.#answerEncryptionRequest(packet.kind === "ssl" ? tls : null);
        }
        return;
      case "cancel":
        this.#phase = Phase.canceling;
        this.#cancel = takeCancelRequest(client, packet);
        return;
      case "startup": {
        // Password messages of a client that does not wait for our questions, or its first query under trust.
        if (this.#early.length > packet.size) client.framer.push(this.#early.subarray(packet.size));
        this.#early = NO_BYTES;
        this.#begin(packet);
        return;
      }
    }
  }

  #answerEncryptionRequest(tls: ReturnType<Client["engine"]["tls"]["client"]>): void {
    const { connection } = this.#client;
    // At once and not through the outbox: the handshake takes the socket over.
    connection.write(tls === null ? ANSWER_NO : ANSWER_YES);
    if (tls === null) return;
    this.#phase = Phase.handshake;
    connection.startTls("server", tls);
  }

  /** The client is closing. */
  abandon(): void {
    this.#cancel?.abandoned();
    this.#authentication?.abandon();
  }

  // ── The startup packet ──────────────────────────────────────────────────────────────────────────────────────────

  #begin(packet: StartupRequest): void {
    const client = this.#client;
    const tcpWithoutTls = !this.#isUnixSocket && !this.#secure;
    if (tcpWithoutTls && demandsTls(client.engine.tls.clientMode)) {
      client.fail(poolerError(PoolerErrors.sslRequired));
      return;
    }
    const userName = packet.parameters.get("user") ?? "";
    if (userName === "") {
      client.fail(poolerError(PoolerErrors.noUser));
      return;
    }
    client.userName = userName;
    client.databaseName = packet.parameters.get("database") || userName;
    const refusal = takeStartupParameters(client, packet.parameters);
    if (refusal !== null) {
      client.fail(refusal);
      return;
    }
    const extensions = extensionNames(packet.parameters);
    if (packet.version > PROTOCOL_3_0 || extensions.length > 0) {
      client.send(negotiateProtocolVersion(PROTOCOL_3_0, extensions));
    }
    this.#phase = Phase.authentication;
    this.#authentication = new ClientAuthentication(client, {
      isUnixSocket: this.#isUnixSocket,
      isSecure: this.#secure,
      certificate: this.#certificate,
    });
    this.#authentication.start();
  }
}

function demandsTls(mode: SslMode): boolean {
  return mode === SslMode.require || mode === SslMode.verifyCa || mode === SslMode.verifyFull;
}
