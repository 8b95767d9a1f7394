/**
 * One client's way of sharing a server: its unit that waits to ride or rides, and who gets the answers.
 *
 *                    ┌──────────────── moved ◀───────────────┐   nothing of the answer was forwarded: the unit
 *                    ▼                                       │   still stands in the client's framer
 *     planned ──▶ (waits) ──boards──▶ riding ──answers──▶ ReadyForQuery ──▶ over
 *                                        │
 *                                        └── client gone, or cancelled: the rest of the answer is nobody's
 *
 * Made with a client's first unit that may share, and used again for each. Not for: who rides where (`rides.ts`).
 */
import type { EntryOwner } from "../pipeline/pipeline.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import type { StatementRecord } from "../sharing/statement-record.ts";
import type { PreparedStatement } from "../state/prepared-statement.ts";
import { ClientState } from "./client-state.ts";
import type { Client } from "./client.ts";
import { Hold } from "./read-holds.ts";
import type { Rides } from "./rides.ts";

/** A unit that was taken back so often needs a server alone: what kills its servers must not walk through the pool. */
const MOVES_MAX = 2;

const IDLE = 0x49;

export class Ride implements EntryOwner {
  readonly client: Client;
  /** Whom it rides with; null while it does not. */
  rides: Rides | null = null;
  /** What is known of the statement of the unit that waits or rides; null when there is none that might ride. */
  record: StatementRecord | null = null;
  /** The named statement that the unit binds. */
  statement: PreparedStatement | null = null;
  unitBytes = 0;
  /** It may ride, but it is not known yet whether it is short: it runs alone, to learn that. */
  isTrial = false;
  /** How much of the answer the client has been given. */
  answeredBytes = 0;
  #moves = 0;

  constructor(client: Client) {
    this.client = client;
  }

  /** A unit of `unitBytes`, which the client's framer has before it, waits for a server. */
  plan(record: StatementRecord, statement: PreparedStatement | null, unitBytes: number, isTrial: boolean): void {
    this.record = record;
    this.statement = statement;
    this.unitBytes = unitBytes;
    this.isTrial = isTrial;
    this.answeredBytes = 0;
    this.#moves = 0;
  }

  /** The unit is none that rides: it goes the way of all others. */
  drop(): void {
    this.record = null;
    this.statement = null;
  }

  /** How long its statement takes on average. */
  get expectedMs(): number {
    return this.record?.meanMs ?? 0;
  }

  get isRiding(): boolean {
    return this.rides !== null;
  }

  /** It was taken back as often as may be. */
  get isMovedOut(): boolean {
    return this.#moves >= MOVES_MAX;
  }

  // ── As the owner of what it has asked ───────────────────────────────────────────────────────────────────────────

  answer(memory: Uint8Array, start: number, end: number): void {
    const { client, rides } = this;
    this.answeredBytes += end - start;
    client.outbox.add(memory, start, end);
    if (!client.outbox.full) return;
    client.holds.hold(Hold.ownBacklog);
    rides?.readerStopped();
  }

  ended(status: number): void {
    this.rides?.headEnded(this, status);
  }

  // ── What becomes of it ──────────────────────────────────────────────────────────────────────────────────────────

  /** Everything was answered. The next unit may begin at once. */
  over(): void {
    const { client, unitBytes } = this;
    const { pool, engine } = client;
    this.#leave();
    this.drop();
    client.clock.end(pool!.database.counters, engine.turn.now, true);
    client.entered(ClientState.idle);
    client.input.rideEnded(unitBytes);
  }

  /** Nothing of the answer has come: it waits again, where it stood. True if it may ride once more. */
  moved(): boolean {
    this.#moves++;
    this.#leave();
    this.client.entered(ClientState.waiting);
    if (!this.isMovedOut) return true;
    this.drop();
    return false;
  }

  /** The client has no more to do with the unit: it was cancelled, or the client goes. What was sent is answered to nobody. */
  abandon(): void {
    const { rides } = this;
    if (rides === null) return;
    rides.disown(this);
    this.#leave();
    this.drop();
    this.client.entered(ClientState.idle);
  }

  /** The server has closed, and the client has got a part of the answer, or has waited for it for too long. */
  lost(error: ErrorToSend, cut: boolean): void {
    this.#leave();
    this.drop();
    this.client.entered(ClientState.idle);
    this.client.fail(error, cut);
  }

  #leave(): void {
    const { client, rides } = this;
    this.rides = null;
    if (client.holds.has(Hold.ownBacklog)) rides?.server.readOn();
  }
}

/** Whether a ReadyForQuery says that no transaction is open. */
export function isIdleStatus(status: number): boolean {
  return status === IDLE;
}
