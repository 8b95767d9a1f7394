/**
 * How one pool's servers are shared: what the pool's core asks about waiters and servers, and what it is told.
 *
 * Who rides where and when is `pool/`'s; whether a statement may, `sharing/`'s. Here the two meet the session: the unit in a client's
 * framer, the state that a server is in, the end of a turn, and the clock that watches over what is at the head of a shared server.
 */
import { sharing as sharingOf } from "../config/precedence.ts";
import { PoolMode } from "../config/setting-words.ts";
import { SharingCounters, countUp } from "../metrics/sharing-counters.ts";
import { Fit } from "../pool/pool-host.ts";
import type { SealReason } from "../pool/pool-host.ts";
import { ServerState } from "../pool/server-state.ts";
import type { Settling } from "../net/turn.ts";
import type { Timer } from "../net/world.ts";
import { Frontend } from "../protocol/message-type.ts";
import { StatementBook } from "../sharing/statement-book.ts";
import { mayBeRead } from "../sharing/first-letter.ts";
import { Refusal } from "../sharing/refusal.ts";
import type { ShortLimits } from "../sharing/short-runs.ts";
import type { StatementRecord } from "../sharing/statement-record.ts";
import type { PreparedStatement } from "../state/prepared-statement.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { Client } from "./client.ts";
import { Ride } from "./ride.ts";
import { Shape, readUnit } from "./ride-unit.ts";
import { Rides } from "./rides.ts";
import type { Server } from "./server.ts";
import type { ServerSeeker } from "./server-holder.ts";
import type { ServerPool } from "./server-pool.ts";

/** A head that goes on for so many times of what is short, on average, holds nobody up any more. */
const HEAD_MAX = 2;

/** Encodings in which the second byte of a character may be one that means something in ASCII. */
const AMBIGUOUS_ENCODING = /^(sjis|shift_jis_2004|big5|gbk|gb18030|uhc|johab)$/i;

export class PoolSharing implements Settling {
  readonly counters = new SharingCounters();
  readonly book = new StatementBook();
  readonly #pool: ServerPool;
  /** By statement; those of texts are in the book. */
  #ofStatements = new WeakMap<PreparedStatement, StatementRecord | string>();
  readonly #limits: { -readonly [K in keyof ShortLimits]: ShortLimits[K] } = {
    runsMin: 0,
    durationMaxMs: 0,
    bytesMax: 0,
  };
  /** Why nothing is shared in this pool, "" when it may be. */
  offBecause = "";
  #isSettling = false;
  #watchTimer: Timer | null = null;
  readonly #encoding: number;
  /** Of whom it was asked last whether they are plainly encoded, and the answer. */
  #judgedParameters: ParameterValues | null = null;
  #isPlain = false;

  constructor(pool: ServerPool) {
    this.#pool = pool;
    this.#encoding = pool.engine.parameters.indexOf("client_encoding");
  }

  /** Takes over what the settings and entries say now. Returns how deep servers are shared; 0 for not at all. */
  refresh(): number {
    const { settings } = this.#pool.engine;
    const isOtherTime = settings.sharingShortTimeMs !== this.#limits.durationMaxMs;
    this.#limits.runsMin = settings.sharingShortRuns;
    this.#limits.durationMaxMs = settings.sharingShortTimeMs;
    this.#limits.bytesMax = settings.sharingShortBytes;
    this.offBecause = this.#offBecause();
    if (isOtherTime && this.#watchTimer !== null) {
      // What is under way is judged by the new time.
      this.#watchTimer.cancel();
      this.#watchTimer = null;
      this.#watch();
    }
    return this.offBecause === "" ? settings.sharingDepth : 0;
  }

  #offBecause(): string {
    const { mode, database, user, engine } = this.#pool;
    const { settings } = engine;
    if (mode === PoolMode.session) return "session mode";
    if (!sharingOf(settings, database.entry, user.entry)) return "sharing = 0";
    if (settings.sharingDepth < 2) return "sharing_depth below 2";
    if (settings.serverResetQueryAlways) return "server_reset_query_always";
    if (settings.applicationNameAddHost) return "application_name_add_host";
    return "";
  }

  // ── What the core asks ──────────────────────────────────────────────────────────────────────────────────────────

  /** Whether `client`, which is about to wait, may ride. What it waits with is planned, or counted as refused. */
  mayShare(client: Client): boolean {
    client.ride?.drop();
    // It is in a transaction, though no server knows of it yet.
    if (client.begin?.isPending === true) return this.#refuse("in a transaction");
    const { engine } = this.#pool;
    const { framer } = client;
    if (engine.settings.disablePqexec && framer.buf[framer.at] === Frontend.Query) return false;
    const unit = engine.rideUnit;
    const shape = readUnit(client, framer, unit);
    if (shape !== Shape.fits) return this.#refuse(shape);
    // Who only writes pays for nothing more than this, and causes no reading of the catalogue.
    if (unit.statement === null && !mayBeRead(framer.buf, unit.textStart, unit.textEnd))
      return this.#refuse(Refusal.notASelect);
    const facts = this.#pool.database.catalogue.facts(this.#pool);
    if (facts === null) return this.#refuse(Refusal.factsMissing);
    const record =
      unit.statement === null
        ? this.book.recordOf(framer.buf, unit.textStart, unit.textEnd, this.#isPlainlyEncoded(client))
        : this.#recordOfStatement(client, unit.statement);
    if (typeof record === "string") return this.#refuse(record);
    const refusal = record.refusal(facts);
    if (refusal !== null) return this.#refuse(refusal);
    const isShort = record.isShort(this.#limits);
    client.ride ??= new Ride(client);
    client.ride.plan(record, unit.statement, unit.bytes, !isShort);
    return isShort || this.#refuse("not known to be short");
  }

  #refuse(reason: string): false {
    countUp(this.counters.refusals, reason);
    return false;
  }

  #isPlainlyEncoded({ parameters }: Client): boolean {
    if (parameters !== this.#judgedParameters) {
      this.#judgedParameters = parameters;
      this.#isPlain = !AMBIGUOUS_ENCODING.test(parameters[this.#encoding] ?? "");
    }
    return this.#isPlain;
  }

  #recordOfStatement(client: Client, statement: PreparedStatement): StatementRecord | string {
    const known = this.#ofStatements.get(statement);
    if (known !== undefined && (typeof known === "string" || known.isCurrent)) return known;
    const { body } = statement;
    const found = this.book.recordOf(body, 0, body.indexOf(0), this.#isPlainlyEncoded(client));
    this.#ofStatements.set(statement, found);
    return found;
  }

  fit(seeker: ServerSeeker, server: Server): Fit {
    const { ride, parameters } = seeker;
    const record = ride?.record ?? null;
    if (ride === null || record === null || !this.#stillMay(record) || !record.isShort(this.#limits)) return Fit.alone;
    if (!this.#isInItsState(parameters, ride, server)) return Fit.differs;
    if (server.outbox.full) return Fit.full;
    const { rides } = server;
    if (rides === null || rides.length === 0) return Fit.rides;
    return rides.aheadMs > this.#limits.durationMaxMs ? Fit.full : Fit.rides;
  }

  /** It might when it began to wait. The catalogue may have changed since. */
  #stillMay(record: StatementRecord): boolean {
    const facts = this.#pool.database.catalogue.facts(this.#pool);
    return facts !== null && record.refusal(facts) === null;
  }

  #isInItsState(parameters: Client["parameters"], ride: Ride, server: Server): boolean {
    const tracked = this.#pool.engine.parameters;
    if (parameters !== server.parameters && tracked.differing(parameters, server.parameters).length > 0) return false;
    return ride.statement === null || server.statements.has(ride.statement);
  }

  /** Whether a statement counts as short by the settings of now. */
  isShort(record: StatementRecord): boolean {
    return record.isShort(this.#limits);
  }

  /** `seeker`, which has left the queue, rides on `server`. */
  ride(seeker: ServerSeeker, server: Server): void {
    const { ride } = seeker;
    if (ride === null) return;
    this.counters.rides++;
    if (server.riders > 0) this.counters.behindOthers++;
    this.#board(ride, server);
    this.#watch();
  }

  /** The server is the client's alone, and its unit has to show how long it takes: true, and it runs. */
  tryAlone(ride: Ride, server: Server): boolean {
    const { record, isTrial } = ride;
    if (
      record === null ||
      !isTrial ||
      !this.#stillMay(record) ||
      !this.#isInItsState(ride.client.parameters, ride, server)
    )
      return false;
    this.counters.trials++;
    this.#board(ride, server);
    this.#watch();
    return true;
  }

  #board(ride: Ride, server: Server): void {
    const rides = (server.rides ??= new Rides(server));
    server.holder = rides;
    server.pipeline.linked = null;
    rides.board(ride);
  }

  sealed(reason: SealReason): void {
    countUp(this.counters.seals, reason);
  }

  // ── What it is told ─────────────────────────────────────────────────────────────────────────────────────────────

  /** A shared server has answered something. */
  answered(server: Server): void {
    if (server.riders <= this.#pool.engine.settings.sharingLowMark) this.settleSoon();
  }

  /** Somebody has begun to wait, or a server has little left: at the end of this turn shared servers are given what is there. */
  settleSoon(): void {
    if (this.#isSettling) return;
    this.#isSettling = true;
    this.#pool.engine.turn.beforeEnd(this);
  }

  settle(): void {
    this.#isSettling = false;
    this.#pool.core.refill(this.#pool.engine.turn.now);
  }

  /** Somebody has begun to wait. */
  waits(): void {
    if (this.#pool.core.servers.count(ServerState.shared) > 0) this.settleSoon();
  }

  /** Looks after what is at the heads, for as long as there is something. */
  #watch(): void {
    if (this.#watchTimer !== null) return;
    this.#watchTimer = this.#pool.engine.world.clock.after(HEAD_MAX * this.#limits.durationMaxMs, () => {
      this.#watchTimer = null;
      let isBusy = false;
      for (const rides of this.#underWay()) {
        isBusy = true;
        rides.watch(HEAD_MAX * this.#limits.durationMaxMs, this.#pool.engine.turn.now);
      }
      if (isBusy) this.#watch();
    });
  }

  /** Time limits of what is at the heads; 0 = none. */
  checkTimes(queryMs: number, transactionMs: number): void {
    const { now } = this.#pool.engine.turn;
    for (const rides of this.#underWay()) {
      const ms = now - rides.headSince;
      if (queryMs > 0 && ms > queryMs) rides.timeOut("query timeout");
      else if (transactionMs > 0 && ms > transactionMs) rides.timeOut("transaction timeout");
    }
  }

  *#underWay(): IterableIterator<Rides> {
    for (const state of [ServerState.shared, ServerState.active]) {
      for (const server of this.#pool.core.servers.in(state)) {
        const { rides } = server;
        if (rides !== null && server.holder === rides && rides.length > 0) yield rides;
      }
    }
  }
}
