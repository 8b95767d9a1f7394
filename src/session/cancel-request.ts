/**
 * What becomes of a cancel request: whose query it names, and the road it takes.
 *
 *     key of a client of ours ─┬─ its query runs ─────▶ `CancelForward`, to PostgreSQL
 *                              ├─ it waits, or rides behind others ▶ answered here, at once (`cancelled-unit.ts`)
 *                              └─ it wants nothing ───▶ dropped
 *     key of a peer's client ──────────────────────────▶ `PeerForward`, while it may still be passed on
 *
 * The sender learns nothing but the end of its connection. Counterpart: PgBouncer's `accept_cancel_request`; reasons are
 * for the log, and mostly its own.
 */
import type { CancelRequest } from "../protocol/startup.ts";
import { CancelForward } from "./cancel-forward.ts";
import type { Client } from "./client.ts";
import { PeerForward } from "./peer-forward.ts";
import { asGiven, passedOn, passesLeft, peerIdOf } from "./peer-key.ts";
import type { PeerPool } from "./peer-pool.ts";
import type { ServerPool } from "./server-pool.ts";

/** A cancel request under way, for the connection that brought it. */
export interface CancelRoad {
  /** It has left: it cannot be taken back any more. */
  readonly isSent: boolean;
  /** Whose server it goes to; null when it goes to a peer. */
  readonly pool: ServerPool | null;
  readonly peer: PeerPool | null;
  /** The connection that brought it is gone. */
  abandoned(): void;
}

/** Only such requests carry a key of ours: PgBouncer reads no other. */
const SECRET_BYTES = 4;

/**
 * `carrier`, whose first packet was `request`: the request on its way, or null when it ends here. Then the carrier has been closed.
 */
export function takeCancelRequest(carrier: Client, request: CancelRequest): CancelRoad | null {
  const { directory, settings, log } = carrier.engine;
  const { processId, secret } = request;
  const { peerId } = settings;
  if (secret.length !== SECRET_BYTES) return end(carrier, "bad cancel request");
  // As it is first: clients that logged in before there was a peer_id have a key without one.
  let target = directory.byCancelKey(processId, secret);
  if (target === null && peerId > 0) {
    const id = peerIdOf(processId);
    if (id !== peerId) {
      if (passesLeft(secret) === 0)
        return end(carrier, "failed to forward cancel request because its TTL was exhausted");
      const peer = directory.peer(id);
      if (peer === null) return end(carrier, "could not find peer to forward request to");
      log.debug(`forwarding cancellation request to peer ${id}`);
      return new PeerForward(peer, processId, passedOn(secret), (outcome) => carrier.close(outcome));
    }
    target = directory.byCancelKey(processId, asGiven(secret));
  }
  return target === null ? end(carrier, "failed cancel request: no such client") : cancel(carrier, target);
}

function cancel(carrier: Client, target: Client): CancelRoad | null {
  if (target.console !== null) {
    target.console.cancel(target);
    return end(carrier, "cancel request for console client");
  }
  const rides = target.ride?.rides ?? null;
  if (rides !== null && rides.head === target.ride) {
    const forward = rides.cancelHead((outcome) => carrier.close(outcome));
    return forward ?? end(carrier, "cancel request for a query that is being cancelled");
  }
  if (target.input.cancelWaiting()) return end(carrier, "cancel request for waiting client");
  const { server } = target;
  if (server === null || target.isSettingParameters) return end(carrier, "cancel request for idle client");
  return new CancelForward(server, (outcome) => carrier.close(outcome));
}

function end(carrier: Client, reason: string): null {
  carrier.close(reason);
  return null;
}
