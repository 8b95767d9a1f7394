/**
 * What a client sends after its login, and where it goes.
 *
 *     socket ─▶ framer ─▶ message ─┬─ no server: ask, and wait with the bytes in the framer
 *                                  └─ server: a step for its pipeline, bytes for its outbox
 *
 * It asks for a server when the first message of a unit comes, and streams to it while the client holds one. What cannot be
 * dealt with now stays in the framer; a client that waits is read from up to `WAITING_BYTES_MAX`, so that its going away is
 * seen. Not for: what is answered, and when the server is given back (`client.ts`); renaming (`statement-relay.ts`).
 */
import { Framer } from "../protocol/framer.ts";
import { Frontend } from "../protocol/message-type.ts";
import { badPacketHeader } from "../protocol/startup.ts";
import { Step, UNNAMED } from "../pipeline/step.ts";
import { Skip, isCancellable, noteNames, refuseUnit, skipMessage, skipped } from "./cancelled-unit.ts";
import { ClientState } from "./client-state.ts";
import type { Client } from "./client.ts";
import { isIdle, isKnown, mayNameStatement, stepOf } from "./client-message.ts";
import { relayAnonymousUnit } from "./anonymous-unit.ts";
import { Meeting } from "./deferred-begin.ts";
import { setParameters } from "./parameter-sync.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import { Hold } from "./read-holds.ts";
import type { Server } from "./server.ts";
import { Relayed, isReadable, relayStatementMessage } from "./statement-relay.ts";

/** What a client may send before it is given a server; then it is not read from until it has one. */
const WAITING_BYTES_MAX = 16 * 1024;

/** No command of the console is longer. */
const CONSOLE_MESSAGE_BYTES_MAX = 16 * 1024;

const IDLE = 0x49;

export class ClientInput {
  readonly framer = new Framer();
  readonly #client: Client;
  /** Our SETs, or what else must be ours first, run on the server: nothing of the client's is sent, and there is nothing of its own to be cancelled. */
  isSettingParameters = false;
  /** The client has sent the beginning of a message and not its end: nothing else may go to its server now. */
  isMidMessage = false;
  /** The end of that message goes to the server, or nowhere. */
  #restGoesOn = false;
  /** Of a unit that was cancelled before it was sent. */
  #skip: Skip = Skip.nothing;
  /** The unit that our SETs run for was. */
  #setsForNothing = false;
  /** The client says nothing more; what it has said is still to be dealt with. */
  hasEnded = false;
  /** `process` is at work, and what it has gone through has not all been forwarded. */
  #isProcessing = false;
  /** The next message can be dealt with when a unit has been answered. */
  #isStalled = false;

  constructor(client: Client) {
    this.#client = client;
  }

  receive(bytes: Uint8Array): void {
    this.framer.push(bytes);
    this.process();
  }

  /** The client has ended its half. True when there is nothing left to be dealt with. */
  end(): boolean {
    this.hasEnded = true;
    return !this.isWaiting || this.framer.pending === 0;
  }

  /** A unit has been answered: what had to wait for that can go on. */
  unitEnded(): void {
    if (!this.#isStalled) return;
    this.#isStalled = false;
    this.#client.holds.release(Hold.waiting);
    this.process();
  }

  /** Everything that was sent to the server is whole messages. */
  get isWhole(): boolean {
    return !this.isMidMessage && !this.#isProcessing;
  }

  /** Goes through what has been received, as far as it can be dealt with now. */
  process(): void {
    const client = this.#client;
    if (client.isRiding) {
      // The unit stands in the framer until it has been answered; what is behind it waits.
      this.#settle();
      return;
    }
    const framer = this.framer;
    const bytesMax = client.engine.settings.maxPacketSize;
    const memory = framer.buf;
    if (client.anonymous !== null && client.anonymous.isUndecided) {
      this.#isStalled = true;
      this.#settle();
      return;
    }
    // A run of neighbouring messages that go on as they are is one slice.
    let runStart = 0;
    let runEnd = 0;
    this.#isProcessing = true;
    while (!client.isClosed && framer.next(bytesMax)) {
      const at = framer.at;
      let end = at + framer.available;
      if (framer.continues) {
        const last = framer.last;
        framer.advance();
        if (last) this.isMidMessage = false;
        if (!this.#restGoesOn) continue;
        if (runEnd !== at) {
          client.forward(memory, runStart, runEnd);
          runStart = at;
        }
        runEnd = end;
        continue;
      }
      const type = framer.type;
      if (type === Frontend.Terminate) {
        client.forward(memory, runStart, runEnd);
        this.#isProcessing = false;
        client.close("client close request");
        return;
      }
      if (client.seat !== null) {
        if (framer.size > CONSOLE_MESSAGE_BYTES_MAX) client.fail(poolerError(PoolerErrors.badHeader, "incomplete pkt"));
        else if (!framer.whole) framer.hold();
        else if (!client.seat.take(client, framer, memory)) break;
        continue;
      }
      if (this.#skip !== Skip.nothing) {
        if (!isKnown(type)) {
          this.#refuseUnknown(type);
          return;
        }
        if (client.pool!.hasStatements && !noteNames(client, framer, memory)) continue;
        this.#skip = skipMessage(client, this.#skip, type);
        this.#pass();
        continue;
      }
      if (client.begin !== null) {
        const meeting = client.begin.meet(framer, memory);
        if (meeting === Meeting.answered) continue;
        if (meeting === Meeting.later) {
          this.#isStalled = true;
          break;
        }
      }
      let server = client.server;
      const named =
        (mayNameStatement(type, memory, at, framer.available) ||
          // The unnamed statement that is there may be somebody else's.
          (type === Frontend.Bind && client.unnamed !== (server === null ? -1 : server.unnamed))) &&
        client.dedication === null &&
        client.pool!.hasStatements;
      if (named && !isReadable(client, framer, memory)) continue;
      if (server === null) {
        if (isIdle(type)) {
          this.#pass();
          continue;
        }
        if (!isKnown(type)) {
          this.#refuseUnknown(type);
          return;
        }
        client.clock.begin(client.pool!.database.counters, client.engine.turn.now);
        server = this.takeServer();
        if (server === null) break;
      }
      if (this.isSettingParameters) break;
      if (client.clock.queryStart === 0) client.clock.begin(client.pool!.database.counters, client.engine.turn.now);

      if (type === Frontend.Parse && runStart === runEnd && relayAnonymousUnit(client, server, framer, memory))
        continue;
      const pipeline = server.pipeline;
      const step = stepOf(type);
      if (named) {
        const goesOnAt = relayStatementMessage(client, server, framer, memory, runStart, runEnd);
        if (goesOnAt === Relayed.refused) return;
        if (goesOnAt === Relayed.later) {
          this.#isStalled = true;
          break;
        }
        if (goesOnAt !== Relayed.asItIs) {
          // The run before it and what replaces its beginning are on their way already.
          client.pool!.database.counters.bytesReceived += goesOnAt - at;
          this.isMidMessage = !framer.last;
          this.#restGoesOn = true;
          framer.advance();
          runStart = goesOnAt;
          runEnd = end;
          continue;
        }
      } else if (step === 0 && !isKnown(type)) {
        client.forward(memory, runStart, runEnd);
        this.#refuseUnknown(type);
        return;
      } else if (type === Frontend.Query && client.engine.settings.disablePqexec) {
        client.fail(poolerError(PoolerErrors.simpleQueryDisallowed));
        return;
      }
      if (step === Step.parse && !named) {
        // Of the unnamed statement, where names count; a Parse that is skipped keeps its name.
        server.unnamed = client.unnamed = client.engine.statements.nextUnnamed();
        pipeline.push(step | UNNAMED, client, null);
      } else if (step !== 0) {
        pipeline.push(step, client, null);
      }
      this.isMidMessage = !framer.last;
      this.#restGoesOn = true;
      if (type === Frontend.CopyData && framer.whole) end = framer.advanceRun(bytesMax);
      else framer.advance();
      if (runEnd !== at) {
        client.forward(memory, runStart, runEnd);
        runStart = at;
      }
      runEnd = end;
    }
    client.forward(memory, runStart, runEnd);
    this.#isProcessing = false;
    if (client.isClosed) return;
    if (framer.broken) {
      client.fail(poolerError(PoolerErrors.startup, badPacketHeader(framer.buf, framer.at, framer.end)));
      return;
    }
    this.#settle();
  }

  /** The next message can be dealt with when `unitEnded` has been called. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  /** What it has sent cannot be dealt with now. */
  get isWaiting(): boolean {
    const client = this.#client;
    if (client.server === null) return client.waiting.queued || client.isRiding;
    return this.isSettingParameters || this.#isStalled;
  }

  /** After some input: give the server back if it is free, stop reading if somebody does not keep up. */
  #settle(): void {
    const client = this.#client;
    const server = client.server;
    const waits = this.isWaiting || (server === null && client.seat !== null);
    if (this.hasEnded && !waits) {
      client.gone(null);
      return;
    }
    if (waits && this.framer.pending > WAITING_BYTES_MAX) client.holds.hold(Hold.waiting);
    if (waits || server === null) return;
    if (server.outbox.full) client.holds.hold(Hold.serverBacklog);
    if (server.pipeline.full) client.holds.hold(Hold.steps);
    if (!this.isMidMessage && server.pipeline.isEmpty && server.status === IDLE) client.finishUnit(server);
  }

  /** The message that is offered goes nowhere. */
  #pass(): void {
    this.isMidMessage = !this.framer.last;
    this.#restGoesOn = false;
    this.framer.advance();
  }

  #refuseUnknown(type: number): void {
    const client = this.#client;
    client.engine.log.error(`${client} unknown pkt from client: ${type}/0x${type.toString(16)}`);
    client.fail(poolerError(PoolerErrors.unknownPacket));
  }

  /** A server of its own for the client, which holds none; null: it waits for one, and ends by `served`. */
  takeServer(): Server | null {
    const client = this.#client;
    if (client.waiting.queued) return null;
    client.wasNotified = false;
    const server = client.pool!.request(client);
    if (server === null) return null;
    client.server = server;
    this.#prepare(server);
    return server;
  }

  /** The pool has a server for it, after it has waited. */
  served(server: Server): void {
    const client = this.#client;
    client.server = server;
    this.#prepare(server);
    client.holds.release(Hold.waiting);
    this.process();
  }

  /** The unit that rode, `bytes` long, has been answered. */
  rideEnded(bytes: number): void {
    const client = this.#client;
    this.framer.drop(bytes);
    client.holds.release(Hold.waiting);
    if (this.framer.pending > 0 || this.hasEnded) this.process();
    else this.framer.next(client.engine.settings.maxPacketSize);
  }

  /** Brings the server into this client's state, if it is in another. */
  #prepare(server: Server): void {
    const client = this.#client;
    this.isSettingParameters = setParameters(client.engine, client, server, (failure) => {
      this.isSettingParameters = false;
      if (client.server !== server) return;
      if (failure === null) {
        this.#open(server);
        if (!this.isSettingParameters) this.#opened(server);
        return;
      }
      client.engine.log.warning(`${server} varcache_apply failed: ${failure}`);
      server.close("var change failed", true, poolerError(PoolerErrors.invalidServerParameter));
    });
    if (!this.isSettingParameters) this.#open(server);
  }

  /** The server is in this client's state: a BEGIN that it has been spared so far goes first. */
  #open(server: Server): void {
    if (this.#client.begin === null) return;
    this.isSettingParameters = this.#client.begin.open(server, () => {
      this.isSettingParameters = false;
      if (this.#client.server === server) this.#opened(server);
    });
  }

  /** What had to run before the client's messages has run. */
  #opened(server: Server): void {
    const client = this.#client;
    if (this.#setsForNothing) {
      client.clock.end(client.pool!.database.counters, client.engine.turn.now, server.status === IDLE);
    }
    this.#setsForNothing = false;
    client.holds.release(Hold.waiting);
    this.process();
  }

  /**
   * What had to succeed before the unit that is being sent to `server` has failed, and the client was told: PostgreSQL skips the unit, the
   * client's transaction has failed, and the server goes back without it.
   */
  unitRefused(server: Server): void {
    const client = this.#client;
    if (server.pipeline.isOpen) this.#skip = Skip.toSync;
    else client.send(skipped(client));
    this.#restGoesOn = false;
    client.clock.end(client.pool!.database.counters, client.engine.turn.now, false);
    client.abandon();
    this.unitEnded();
  }

  /**
   * A cancel request came. True when it was for a unit of which nothing was sent: nothing will be, and the client is told.
   */
  cancelWaiting(): boolean {
    const client = this.#client;
    const { framer } = this;
    const { pool } = client;
    const waits = client.server === null ? client.waiting.queued || client.isRiding : this.isSettingParameters;
    if (pool === null || client.startup !== null || !waits || this.#skip !== Skip.nothing) return false;
    if (!framer.next(client.engine.settings.maxPacketSize) || framer.continues || !isCancellable(framer.type))
      return false;
    const isInTransaction = client.begin?.cancelled() === true;
    if (client.server === null) {
      if (client.isRiding) {
        client.ride!.abandon();
      } else {
        pool.leaveQueue(client);
        client.entered(ClientState.idle);
      }
      client.clock.end(pool.database.counters, client.engine.turn.now, !isInTransaction);
    } else {
      this.#setsForNothing = true;
    }
    this.#skip = refuseUnit(client, framer.type);
    client.holds.release(Hold.waiting);
    this.process();
    return true;
  }
}
