/**
 * Faults of a pooler that shares servers, each put in by changing methods of its classes while a run lasts.
 */
import { SealReason } from "../../src/pool/pool-host.ts";
import { Sharing } from "../../src/pool/sharing.ts";
import { WaitQueue } from "../../src/pool/wait-queue.ts";
import { ClientInput } from "../../src/session/client-input.ts";
import { PoolSharing } from "../../src/session/pool-sharing.ts";
import { Ride } from "../../src/session/ride.ts";
import { Rides } from "../../src/session/rides.ts";
import { ServerPool } from "../../src/session/server-pool.ts";
import { StatementRecord } from "../../src/sharing/statement-record.ts";
import { ServerStatements } from "../../src/state/prepared-statement.ts";
import type { Fault } from "./broken-engine.ts";
import { replace } from "./broken-engine.ts";

/** All of them, taken out again together. */
function all(...mends: readonly (() => void)[]): () => void {
  return () => {
    for (const mend of mends) mend();
  };
}

export const sharingFaults: readonly Fault[] = [
  {
    fault: "a rider that is moved keeps its place: it is answered twice",
    seedsMax: 600,
    breakIt: () => {
      let isMoving = false;
      return all(
        replace(Rides.prototype, "sealAndMove", (_self, sealAndMove, args) => {
          isMoving = true;
          sealAndMove(...args);
          isMoving = false;
        }),
        replace(Rides.prototype, "disown", (_self, disown, args) => {
          if (!isMoving) disown(...args);
        }),
      );
    },
  },
  {
    fault: "a client rides on a server that is in another state",
    seedsMax: 200,
    breakIt: () =>
      replace(PoolSharing.prototype, "fit", (_self, fit, [{ ride }, server]) =>
        fit({ ride, parameters: server.parameters }, server),
      ),
  },
  {
    fault: "a cancel request is sent while others ride behind its target",
    seedsMax: 600,
    breakIt: () =>
      replace(Rides.prototype, "sealAndMove", (_self, sealAndMove, [reason]) => {
        if (reason !== SealReason.cancel) sealAndMove(reason);
      }),
  },
  {
    fault: "any statement is judged to be a read",
    seedsMax: 200,
    breakIt: () => replace(StatementRecord.prototype, "refusal", () => null),
  },
  {
    fault: "a prepared statement rides on a server that does not have it",
    seedsMax: 200,
    breakIt: () => replace(ServerStatements.prototype, "has", () => true),
  },
  {
    fault: "what a client rode with that has gone is still its own",
    seedsMax: 600,
    breakIt: () =>
      replace(Rides.prototype, "disown", (_self, disown, [ride]) => {
        if (!ride.client.isClosed) disown(ride);
      }),
  },
  {
    fault: "no server is held back for those who need one alone",
    seedsMax: 200,
    breakIt: () => replace(WaitQueue.prototype, "isAloneFirst", () => false),
  },
  {
    fault: "who is moved loses its place among those who wait",
    seedsMax: 600,
    breakIt: () =>
      replace(ServerPool.prototype, "moveBack", (self, _moveBack, [{ waiting }, shares]) => {
        self.core.waiters.push(waiting, self.engine.turn.now, shares);
        self.sharing.settleSoon();
      }),
  },
  {
    fault: "a unit is forgotten when it is sent, and lost when it is moved",
    seedsMax: 200,
    breakIt: () =>
      replace(Rides.prototype, "board", (_self, board, [ride]) => {
        board(ride);
        ride.client.framer.drop(ride.unitBytes);
        ride.unitBytes = 0;
      }),
  },
  {
    fault: "a unit that was answered is kept, and sent again",
    seedsMax: 100,
    breakIt: () => replace(ClientInput.prototype, "rideEnded", (_self, rideEnded) => rideEnded(0)),
  },
  {
    fault: "a server takes more riders than its depth",
    seedsMax: 200,
    breakIt: () => replace(PoolSharing.prototype, "refresh", (_self, refresh) => 4 * Number(refresh())),
  },
  {
    fault: "the end of a server is told to the client at its head",
    seedsMax: 600,
    breakIt: () => replace(Rides.prototype, "outlives", () => false),
  },
  {
    fault: "a head that was answered in part is moved",
    seedsMax: 600,
    breakIt: () =>
      replace(Ride.prototype, "answer", (self, answer, args) => {
        answer(...args);
        self.answeredBytes = 0;
      }),
  },
  {
    fault: "what is answered to nobody counts as the next client's",
    seedsMax: 600,
    breakIt: () =>
      replace(Rides.prototype, "ended", (self, _ended, [status]) => self.headEnded(self.riding[0] ?? null, status)),
  },
  {
    fault: "who needs a server alone waits for one whose head is slow",
    seedsMax: 1000,
    breakIt: () =>
      replace(Sharing.prototype, "seal", (_self, seal, [server, reason]) =>
        seal(server, reason === SealReason.slow || reason === SealReason.reader ? SealReason.alone : reason),
      ),
  },
];
