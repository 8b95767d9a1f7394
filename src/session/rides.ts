/**
 * The units of several clients on one server: its holder while it is shared, and while one of them runs alone to be measured.
 *
 *     head      riders                          sent, in this order, each with a ReadyForQuery of its own
 *     ┌──────┬──────┬──────┬────────┬──────┐
 *     │ B    │ F    │ C    │ nobody │ A    │    ◀── board()
 *     └──────┴──────┴──────┴────────┴──────┘
 *      answered now          cancelled, moved or gone: PostgreSQL still answers, and nobody is told
 *
 * *Seal*: the pool gives it no more. *Move*: a rider loses its place and waits again. Both are harmless because everything here is a read
 * that can be run again (`sharing/`). What needs the head alone (a cancel request, a statement that goes on for too long, a client that
 * does not read) seals and moves first: nothing that is meant for one can hit, or hold up, another.
 *
 * Invariants: entries are in the order of the pipeline, one for each ReadyForQuery that is to come; `server.riders` is their number.
 * Nothing else owns a step of the server's while one is here.
 */
import type { EntryOwner } from "../pipeline/pipeline.ts";
import { SealReason } from "../pool/pool-host.ts";
import { ServerState } from "../pool/server-state.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import { countUp } from "../metrics/sharing-counters.ts";
import { CancelForward } from "./cancel-forward.ts";
import { serverLostError } from "./pooler-error.ts";
import type { Ride } from "./ride.ts";
import { isIdleStatus } from "./ride.ts";
import { sendUnit } from "./ride-unit.ts";
import type { Server } from "./server.ts";
import type { ServerHolder } from "./server-holder.ts";

const NOT_A_READ = "a shared statement has left a transaction open";

/** Why riders were moved that no seal explains. */
const SERVER_LOST = "server lost";

export class Rides implements ServerHolder {
  readonly server: Server;
  readonly clock = null;
  readonly isMidMessage = false;
  /** In the order of the pipeline; null: nobody wants the answer any more. */
  readonly #entries: (Ride | null)[] = [];
  readonly #expectedMs: number[] = [];
  /** How long, by what was known of them, the units will take that are here. */
  aheadMs = 0;
  /** Since when the first is the first: monotonic ms. */
  headSince = 0;
  #isHeadCancelled = false;

  constructor(server: Server) {
    this.server = server;
  }

  /** Of the client whose unit is answered now; 0 when nobody waits for that. */
  get id(): number {
    return this.#entries[0]?.client.id ?? 0;
  }

  get length(): number {
    return this.#entries.length;
  }

  get head(): Ride | null {
    return this.#entries[0] ?? null;
  }

  /** Those whose answers are still to come, in order. */
  get riding(): readonly Ride[] {
    return this.#entries.filter((ride) => ride !== null);
  }

  /** What PostgreSQL reports of its own accord comes with the head's answer, and its client is told. */
  get parameters(): ParameterValues {
    return this.head?.client.parameters ?? this.server.parameters;
  }

  set parameters(values: ParameterValues) {
    const { head } = this;
    if (head !== null) head.client.parameters = values;
  }

  toString(): string {
    return this.head === null ? "(shared)" : String(this.head.client);
  }

  /** Sends the unit of `ride`, behind those that are here. */
  board(ride: Ride): void {
    const { server } = this;
    if (this.#entries.length === 0) this.#becomesHead();
    this.#entries.push(ride);
    this.#expectedMs.push(ride.expectedMs);
    this.aheadMs += ride.expectedMs;
    server.riders = this.#entries.length;
    ride.rides = this;
    sendUnit(ride, server);
  }

  /** The first entry was answered. `owner`: whose it was, null for nobody. */
  headEnded(owner: Ride | null, status: number): void {
    const { server } = this;
    const { turn } = server.engine;
    this.#entries.shift();
    this.aheadMs -= this.#expectedMs.shift() ?? 0;
    server.riders = this.#entries.length;
    owner?.record?.ran(turn.now - this.headSince, owner.answeredBytes);
    this.#becomesHead();
    // What was to end the one that has ended must not end another.
    if (server.cancels.size > 0) for (const cancel of server.cancels) cancel.targetReleased();
    if (!isIdleStatus(status)) {
      // It was no read after all: nobody else may come to run inside its transaction.
      server.engine.log.error(`${server} ${NOT_A_READ}`);
      server.close(NOT_A_READ);
      owner?.lost(serverLostError(NOT_A_READ), false);
      return;
    }
    if (server.place.state === ServerState.shared) server.pool.sharing.answered(server);
    else if (this.#entries.length === 0) server.pool.release(server);
    owner?.over();
  }

  #becomesHead(): void {
    this.headSince = this.server.engine.turn.now;
    this.#isHeadCancelled = false;
  }

  /** The answer to `ride` is nobody's from now on. */
  disown(ride: Ride): void {
    const index = this.#entries.indexOf(ride);
    if (index < 0) return;
    this.#entries[index] = null;
    this.server.pipeline.replaceOwner(ride, this);
  }

  /** Nothing more comes here, and those behind the head wait again, in their old places. */
  sealAndMove(reason: SealReason): void {
    const { server } = this;
    server.pool.core.seal(server, reason);
    for (let i = 1; i < this.#entries.length; i++) {
      const ride = this.#entries[i];
      if (ride === null || ride === undefined) continue;
      this.disown(ride);
      this.#moveBack(ride, reason);
    }
  }

  #moveBack(ride: Ride, reason: string): void {
    const { pool } = this.server;
    countUp(pool.sharing.counters.moves, reason);
    pool.moveBack(ride.client, ride.moved());
  }

  /** The head's client does not take its answer: nobody else waits for that. */
  readerStopped(): void {
    this.sealAndMove(SealReason.reader);
    this.server.connection?.pause();
  }

  /** A look at the clock: a head that has run for longer than `shortMs` holds nobody up, and is cancelled if nobody wants it any more. */
  watch(shortMs: number, now: number): void {
    if (this.#entries.length === 0 || now - this.headSince <= shortMs) return;
    this.sealAndMove(SealReason.slow);
    // Who says nothing more may have gone: he is not waited for any longer.
    if (this.head?.client.input.hasEnded === true) this.head.client.gone(null);
    if (this.head === null) this.cancelHead(() => {});
  }

  /** The head has run for longer than it may: its client is closed, and the server. `reason`: which time limit. */
  timeOut(reason: string): void {
    const { server, head } = this;
    this.sealAndMove(SealReason.slow);
    // Not one that could be moved.
    if (head !== null) this.disown(head);
    server.close(reason);
    head?.lost(serverLostError(reason), server.pipeline.isMidAnswer);
  }

  /** A cancel request for what is at the head. Null when one is under way already. */
  cancelHead(done: (outcome: string) => void): CancelForward | null {
    if (this.#isHeadCancelled) return null;
    this.sealAndMove(SealReason.cancel);
    this.#isHeadCancelled = true;
    return new CancelForward(this.server, done);
  }

  /** A FATAL error is the server's, not the head's, unless the head has had a part of its answer. True: nobody is to be told. */
  outlives(owner: EntryOwner | null): boolean {
    const { head } = this;
    return head === null ? owner === this : owner === head && head.answeredBytes === 0;
  }

  // ── As the owner of what nobody wants any more ──────────────────────────────────────────────────────────────────

  answer(): void {}

  ended(status: number): void {
    this.headEnded(null, status);
  }

  // ── As the holder of the server ─────────────────────────────────────────────────────────────────────────────────

  serverDrained(): void {}

  forgetStatements(): void {}

  /** Nothing that was not answered in part has been heard of: it runs elsewhere. */
  serverLost(server: Server, error: ErrorToSend, cut: boolean): void {
    const entries = this.#entries.splice(0);
    this.#expectedMs.length = 0;
    this.aheadMs = 0;
    server.riders = 0;
    for (const [index, ride] of entries.entries()) {
      if (ride === null) continue;
      if (index === 0 && (ride.answeredBytes > 0 || cut)) ride.lost(error, cut);
      else this.#moveBack(ride, SERVER_LOST);
    }
  }
}
