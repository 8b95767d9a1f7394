/**
 * The real engine with a fault put in on purpose, one at a time, by changing methods of its classes while a run lasts.
 */
import { Buffer } from "node:buffer";
import { Outbox } from "../../src/net/outbox.ts";
import { Pipeline } from "../../src/pipeline/pipeline.ts";
import type { EntryOwner } from "../../src/pipeline/pipeline.ts";
import { KIND_MASK, PUT_IN, Step, SWALLOW } from "../../src/pipeline/step.ts";
import { BudgetSlots } from "../../src/pool/budget-slots.ts";
import { WaitQueue } from "../../src/pool/wait-queue.ts";
import { Operations } from "../../src/pooler/operations.ts";
import { Residents } from "../../src/pooler/residents.ts";
import { READY_IDLE } from "../../src/protocol/backend-messages.ts";
import { refuseUnit } from "../../src/session/cancelled-unit.ts";
import { AnonymousUnit } from "../../src/session/anonymous-unit.ts";
import { Client } from "../../src/session/client.ts";
import { Dedication } from "../../src/session/dedication.ts";
import { DeferredBegin } from "../../src/session/deferred-begin.ts";
import { Server } from "../../src/session/server.ts";
import { ServerPool } from "../../src/session/server-pool.ts";
import { ServerStatements } from "../../src/state/prepared-statement.ts";
import { TrackedParameters } from "../../src/state/tracked-parameters.ts";
import type { BrokenEngine, Fault } from "./broken-engine.ts";
import { replace } from "./broken-engine.ts";
import { sharingFaults } from "./broken-sharing.ts";
import type { EngineSetup } from "./engine-under-test.ts";
import { poolerKind, startPooler } from "./pooler-engine.ts";

const IDLE = 0x49;
const QUERY = 0x51;
const SYNC = Buffer.from([0x53, 0, 0, 0, 4]);

/** True at each n-th call. */
function each(nth: number): () => boolean {
  let calls = 0;
  return () => ++calls % nth === 0;
}

const faults: readonly Fault[] = [
  {
    fault: "a lost pop: an answered step stays in the pipeline",
    seedsMax: 20,
    breakIt: () => {
      const now = each(9);
      return replace(Pipeline.prototype, "push", (_self, push, [step, owner, ref]) => {
        push(step, owner, ref);
        if (now()) push(step, owner, null);
      });
    },
  },
  {
    fault: "a server is released inside a transaction",
    seedsMax: 50,
    breakIt: () =>
      replace(Client.prototype, "ended", (self, ended, [status]) => {
        if (status !== IDLE && self.server !== null) self.server.status = IDLE;
        ended(IDLE);
      }),
  },
  {
    fault: "replication clients share servers with the others",
    seedsMax: 50,
    breakIt: () =>
      replace(ServerPool.prototype, "greet", (_self, greet, [client]) => {
        client.dedication = null;
        greet(client);
      }),
  },
  {
    fault: "a replication client's settings are not in its server's startup packet",
    seedsMax: 50,
    breakIt: () =>
      replace(Dedication.prototype, "startupParameters", (self) => [["replication", self.client.replication]]),
  },
  {
    fault: "a replication client's server stays when the client has gone",
    seedsMax: 50,
    breakIt: () => replace(Dedication.prototype, "released", () => {}),
  },
  {
    fault: "a replication client whose server failed to connect is forgotten",
    seedsMax: 300,
    breakIt: () => replace(Dedication.prototype, "closing", () => {}),
  },
  {
    fault: "a swapped owner: answers go to another client",
    seedsMax: 20,
    breakIt: () => {
      const now = each(15);
      let last: EntryOwner | null = null;
      return replace(Pipeline.prototype, "push", (_self, push, [step, owner, ref]) => {
        const other = last;
        if (owner instanceof Client) last = owner;
        push(step, other !== null && other !== owner && owner instanceof Client && now() ? other : owner, ref);
      });
    },
  },
  {
    fault: "a leaked slot: a closed connection is still counted",
    seedsMax: 50,
    breakIt: () => {
      const now = each(2);
      return replace(BudgetSlots.prototype, "giveBack", (_self, giveBack, args) => {
        if (!now()) giveBack(...args);
      });
    },
  },
  {
    fault: "a forgotten ParseComplete: the answer that should be put in is not",
    seedsMax: 50,
    breakIt: () =>
      replace(Pipeline.prototype, "push", (_self, push, [step, owner, ref]) => {
        if ((step & PUT_IN) === 0) push(step, owner, ref);
      }),
  },
  {
    fault: "the answer to an injected message is forwarded",
    seedsMax: 50,
    breakIt: () =>
      replace(Pipeline.prototype, "push", (_self, push, [step, owner, ref]) => push(step & ~SWALLOW, owner, ref)),
  },
  {
    fault: "a Sync is swallowed",
    seedsMax: 50,
    breakIt: () => {
      const now = each(20);
      return replace(Outbox.prototype, "add", (_self, add, [memory, start, end]) => {
        const isSync = end - start >= 5 && Buffer.from(memory.subarray(end - 5, end)).equals(SYNC);
        add(memory, start, isSync && now() ? end - 5 : end);
      });
    },
  },
  {
    fault: "a byte is dropped at a chunk's border",
    seedsMax: 10,
    breakIt: () => {
      const now = each(40);
      return replace(Outbox.prototype, "add", (_self, add, [memory, start, end]) =>
        add(memory, start, now() ? end - 1 : end),
      );
    },
  },
  {
    fault: "a cancel carries the key of another server",
    seedsMax: 300,
    breakIt: () => {
      let last: { pid: number; secret: Uint8Array } | null = null;
      return replace(Server.prototype, "loggedIn", (self, loggedIn, [status]) => {
        loggedIn(status);
        const own = { pid: self.keyProcessId, secret: self.keySecret };
        if (last !== null) {
          self.keyProcessId = last.pid;
          self.keySecret = last.secret;
        }
        last = own;
      });
    },
  },
  {
    fault: "a client is told that its wait is cancelled, and waits on",
    seedsMax: 150,
    breakIt: () =>
      replace(Residents.prototype, "byCancelKey", (_self, byCancelKey, key) => {
        const client = byCancelKey(...key) as Client | null;
        if (client === null || !client.waiting.queued || client.framer.type !== QUERY) return client;
        refuseUnit(client, QUERY);
        client.send(READY_IDLE);
        return null;
      }),
  },
  {
    fault: "a server with a cancel on its way is given to the next client",
    seedsMax: 1500,
    breakIt: () =>
      replace(ServerPool.prototype, "release", (self, release, [server]) => {
        const { cancels } = server;
        server.cancels = [];
        release(server);
        server.cancels = cancels;
        return self;
      }),
  },
  {
    fault: "a waiter is forgotten when its turn comes",
    seedsMax: 50,
    breakIt: () => {
      const now = each(5);
      return replace(ServerPool.prototype, "serve", (self, serve, [client, server]) => {
        if (now()) self.core.released(server, self.engine.turn.now);
        else serve(client, server);
      });
    },
  },
  {
    fault: "the last to come is served first",
    seedsMax: 100,
    breakIt: () =>
      replace(WaitQueue.prototype, "push", (self, push, [waiting, now]) => {
        const first = self.oldestSince;
        if (first === null) push(waiting, now);
        else self.pushFront(waiting, first);
      }),
  },
  {
    fault: "a pool opens one server too many",
    seedsMax: 50,
    breakIt: () =>
      replace(ServerPool.prototype, "open", (_self, open, [slot]) => {
        open(slot);
        open(slot);
      }),
  },
  {
    fault: "the reset query is left out between two sessions",
    seedsMax: 100,
    breakIt: () =>
      replace(ServerPool.prototype, "release", (self, release, [server]) => {
        const { settings } = self.engine;
        const query = settings.serverResetQuery;
        settings.serverResetQuery = "";
        release(server);
        settings.serverResetQuery = query;
      }),
  },
  {
    fault: "a client's settings do not follow it",
    seedsMax: 50,
    breakIt: () => replace(TrackedParameters.prototype, "differing", () => []),
  },
  {
    fault: "a statement is thought to be on a server that does not have it",
    seedsMax: 50,
    breakIt: () =>
      replace(ServerStatements.prototype, "use", (self, use, [statement]) => {
        if (!use(statement)) self.add(statement);
        return true;
      }),
  },
  {
    fault: "a statement is thought to be gone from a server that has it",
    seedsMax: 100,
    breakIt: () => {
      const now = each(5);
      return replace(ServerStatements.prototype, "use", (self, use, [statement]) => {
        if (now()) self.delete(statement);
        return use(statement);
      });
    },
  },
  {
    fault: "statements that were skipped after an error are remembered",
    seedsMax: 300,
    breakIt: () => replace(Pipeline.prototype, "push", (_self, push, [step, owner]) => push(step, owner, null)),
  },
  {
    fault: "a client that leaves in a transaction leaves its server to others",
    seedsMax: 100,
    breakIt: () =>
      replace(Client.prototype, "close", (self, close, [reason]) => {
        if (self.server !== null && self.server.pipeline.isEmpty) self.server.status = IDLE;
        close(reason);
      }),
  },
  {
    fault: "a server that stops taking data is not waited for to take it again",
    seedsMax: 600,
    breakIt: () => replace(Client.prototype, "serverDrained", () => {}),
  },
  {
    fault: "a client that does not read is not waited for",
    seedsMax: 300,
    breakIt: () =>
      replace(Client.prototype, "answer", (self, _answer, [memory, start, end]) => self.outbox.add(memory, start, end)),
  },
  {
    fault: "Syncs inside a COPY are counted",
    seedsMax: 100,
    breakIt: () =>
      replace(Pipeline.prototype, "push", (self, push, [step, owner, ref]) => {
        push(step, owner, ref);
        if (self.inCopy && (step & KIND_MASK) === Step.sync) push(Step.query, owner, ref);
      }),
  },
  {
    fault: "PAUSE is answered and servers are handed out all the same",
    seedsMax: 600,
    breakIt: () => replace(Operations.prototype, "pause", (_self, _pause, [done]) => done()),
  },
  {
    fault: "a BEGIN that was answered without a server is never sent to one",
    seedsMax: 100,
    breakIt: () => replace(DeferredBegin.prototype, "open", () => false),
  },
  {
    fault: "a BEGIN before its first statement is refused, and its transaction goes on without it",
    seedsMax: 400,
    breakIt: () =>
      replace(Server.prototype, "failed", (self, failed, [owner, memory, at, size]) => {
        if (owner instanceof DeferredBegin) self.holder?.answer(memory, at, at + size);
        else failed(owner, memory, at, size);
      }),
  },
  {
    fault: "a kept statement is refused, and the client that has asked for none is told so",
    seedsMax: 100,
    breakIt: () => replace(AnonymousUnit.prototype, "refused", (self) => self.settle()),
  },
  {
    fault: "a client that has gone is still listed",
    seedsMax: 10,
    breakIt: () => {
      const now = each(3);
      return replace(ServerPool.prototype, "clientLeft", (_self, clientLeft, [client]) => {
        if (!now()) clientLeft(client);
      });
    },
  },
];

/** Faults of a pooler that misreads its configuration. */
const misreadings: readonly { fault: string; seedsMax: number; misread: (setup: EngineSetup) => EngineSetup }[] = [
  {
    fault: "a pool is larger than its size by one",
    seedsMax: 50,
    misread: (setup) => ({
      ...setup,
      databases: setup.databases.map((database) => ({ ...database, poolSize: database.poolSize + 1 })),
    }),
  },
  {
    fault: "servers of session pools are given back after each transaction",
    seedsMax: 100,
    misread: (setup) => ({
      ...setup,
      databases: setup.databases.map((database) => ({ ...database, poolMode: "transaction" as const })),
    }),
  },
  {
    fault: "max_db_connections is not heeded",
    seedsMax: 300,
    misread: (setup) => ({ ...setup, settings: { ...setup.settings, max_db_connections: "0" } }),
  },
];

export const brokenPoolers: readonly BrokenEngine[] = [
  ...[...faults, ...sharingFaults].map(({ fault, seedsMax, breakIt }) => ({
    fault,
    seedsMax,
    breakIt,
    kind: poolerKind,
    intact: poolerKind,
  })),
  ...misreadings.map(({ fault, seedsMax, misread }) => ({
    fault,
    seedsMax,
    breakIt: () => () => {},
    kind: { ...poolerKind, start: (setup: EngineSetup) => startPooler(misread(setup)) },
    intact: poolerKind,
  })),
];
