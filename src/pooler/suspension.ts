/**
 * SUSPEND: everybody is brought to rest, so that sockets can be handed to another process.
 *
 *     clients ──▶ nobody comes in; logins end; what clients have sent goes to servers, waiting ones are served first
 *     servers ──▶ nothing is read from them either, and clients take what was read
 *     rest    ──▶ nothing of any session is in this process, and every connection stands between two messages
 *
 * A message that has begun is read to its end and not a byte further, which neither runtime can: the system is asked for just
 * those bytes. Connections under TLS cannot be handed over; they are only not read from. Servers that are in no state to be
 * handed over (logging in, in test, to be tested) are closed.
 *
 * When it is one of our kind that will take over, waiting clients need not be served before, and those who have connected and
 * said nothing are no obstacle: it goes on with both.
 *
 * Counterpart: PgBouncer's `per_loop_suspend`, `suspend_socket`, `resume_all`.
 */
import type { DescriptorPassing } from "../net/descriptor-passing.ts";
import { Passing } from "../net/descriptor-passing.ts";
import type { Timer } from "../net/world.ts";
import { ServerState } from "../pool/server-state.ts";
import { Client } from "../session/client.ts";
import type { Engine } from "../session/engine.ts";
import { PoolerErrors, poolerError } from "../session/pooler-error.ts";
import type { Server } from "../session/server.ts";
import type { Listeners } from "./listeners.ts";
import type { Residents } from "./residents.ts";

/** How often those who are not at rest are looked at: with the timer's own grain it is twenty times a second at least. */
const LOOK_MS = 10;

const Phase = { off: "off", clients: "clients", servers: "servers", rest: "rest" } as const;
type Phase = (typeof Phase)[keyof typeof Phase];

export class Suspension {
  readonly #engine: Engine;
  readonly #residents: Residents;
  readonly #listeners: Listeners;
  #phase: Phase = Phase.off;
  #since = 0;
  #timer: Timer | null = null;
  #forHeir = false;
  /** Another process has been given all that can be given. */
  isHandedOver = false;

  constructor(engine: Engine, residents: Residents, listeners: Listeners) {
    this.#engine = engine;
    this.#residents = residents;
    this.#listeners = listeners;
  }

  /** `look` is called until everybody is at rest. `forHeir`: a pooler of our kind has asked for it. */
  begin(look: () => void, forHeir: boolean): void {
    this.#forHeir = forHeir;
    this.#phase = Phase.clients;
    this.#since = this.#engine.turn.now;
    this.#residents.isSuspended = true;
    this.#listeners.rest();
    for (const client of this.#residents.clients) if (isOfDatabase(client)) client.suspend();
    this.#wait(look);
  }

  /** Everybody is read from again. */
  end(): void {
    if (this.#phase === Phase.off) return;
    this.#phase = Phase.off;
    this.isHandedOver = false;
    this.#timer?.cancel();
    this.#residents.isSuspended = false;
    for (const server of this.#residents.servers) server.resume();
    for (const client of this.#residents.clients) client.resume();
    this.#listeners.goOn();
  }

  /** The pooler ends. */
  stop(): void {
    this.#timer?.cancel();
  }

  /** From then on nobody may write to a connection, or close one, of itself. */
  get isResting(): boolean {
    return this.#phase === Phase.servers || this.#phase === Phase.rest;
  }

  /** Nothing of any session is in this process. Does what there is to be done to get there. */
  get isAtRest(): boolean {
    if (this.#phase === Phase.clients && this.#restClients()) {
      this.#phase = Phase.servers;
      for (const client of this.#residents.clients) {
        if (client.waiting.queued) client.stopWaiting();
        else client.begin?.rest();
      }
      for (const server of this.#residents.servers) this.#suspendServer(server);
    }
    if (this.#phase === Phase.servers && this.#restServers()) this.#phase = Phase.rest;
    return this.#phase === Phase.rest;
  }

  /** Those who are to blame that it takes so long are dropped, after suspend_timeout. */
  dropLaggards(): void {
    const { settings, turn } = this.#engine;
    if (this.#phase === Phase.off || this.#phase === Phase.rest) return;
    if (settings.suspendTimeoutMs === 0 || turn.now - this.#since < settings.suspendTimeoutMs) return;
    const error = poolerError(PoolerErrors.suspendTimeout);
    for (const client of this.#residents.clients) {
      if (client.console !== null) continue;
      const lags = client.outbox.backlog > 0 || (this.#phase === Phase.clients && !this.#isAtRest(client));
      if (lags && client.startup?.isCanceling === true) client.close(error.message);
      else if (lags) client.fail(error);
    }
    for (const server of this.#residents.servers) {
      const isStuck = this.#phase === Phase.servers && !this.#isServerAtRest(server);
      if (!server.isClosed && (server.outbox.backlog > 0 || isStuck)) server.close(error.message);
    }
  }

  #wait(look: () => void): void {
    this.#timer = this.#engine.world.clock.after(LOOK_MS, () => {
      if (this.#phase === Phase.off || this.#phase === Phase.rest) return;
      look();
      this.#wait(look);
    });
  }

  // ── Clients ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #restClients(): boolean {
    let atRest = true;
    for (const client of this.#residents.clients) {
      if (client.console === null && !this.#isAtRest(client)) atRest = false;
    }
    return atRest;
  }

  #isAtRest(client: Client): boolean {
    if (client.isAtRest || client.isClosed) return true;
    const passing = this.#passing;
    if (this.#forHeir && passing !== null && client.tls === "") {
      if (client.canWaitElsewhere) return true;
      if (client.startup?.isSilent === true) {
        client.suspend();
        return true;
      }
    }
    // Where nothing can be handed over it is enough that nothing more comes.
    if (client.startup === null && (passing === null || client.tls !== "")) {
      return client.server === null ? !client.input.isWaiting : client.server.outbox.backlog === 0;
    }
    if (client.startup === null && passing !== null) {
      readRest(passing, client.connection.fd, client.framer.missing, client);
    }
    return client.isClosed || client.isAtRest;
  }

  // ── Servers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #suspendServer(server: Server): void {
    const { state } = server.place;
    if (server.isClosed) return;
    const isHeld = state === ServerState.active && server.holder instanceof Client;
    if (isHeld || state === ServerState.idle) server.suspend();
    else server.close("close unsafe file descriptors on suspend");
  }

  #restServers(): boolean {
    let atRest = true;
    for (const server of this.#residents.servers) if (!this.#isServerAtRest(server)) atRest = false;
    for (const client of this.#residents.clients) {
      if (client.console === null && client.outbox.backlog > 0) atRest = false;
    }
    return atRest;
  }

  #isServerAtRest(server: Server): boolean {
    if (server.isClosed) return true;
    const passing = this.#passing;
    if (server.outbox.backlog > 0) return false;
    if (server.framer.atBoundary || passing === null || server.tls !== "") return true;
    if (server.connection !== null) readRest(passing, server.connection.fd, server.framer.missing, server);
    return server.isClosed || server.framer.atBoundary;
  }

  get #passing(): DescriptorPassing | null {
    return this.#engine.world.descriptors?.() ?? null;
  }
}

/** Reads what is `missing` of a message from a connection that its transport does not read from now. */
function readRest(passing: DescriptorPassing, fd: number, missing: number, session: Client | Server): void {
  if (missing === 0 || fd < 0) return;
  const bytes = passing.read(fd, missing);
  if (typeof bytes !== "string") session.onData(bytes);
  else if (bytes === Passing.ended) session.onEnd();
}

/** SUSPEND stops those of databases; the console, and whoever may be on the way to it, must be able to end it. */
function isOfDatabase(client: Client): boolean {
  return client.pool !== null;
}
