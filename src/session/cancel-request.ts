/**
 * What becomes of a cancel request: whose query it names, and the road it takes.
 *
 * Counterpart: PgBouncer's `accept_cancel_request`; the reasons are for the log only.
 */
import type { CancelRequest } from "../protocol/startup.ts";
import { CancelForward } from "./cancel-forward.ts";
import type { Client } from "./client.ts";

/**
 * `carrier`, whose first packet was `request`: the request on its way, or null when it ends here. Then the carrier has been closed.
 */
export function takeCancelRequest(carrier: Client, request: CancelRequest): CancelForward | null {
  const target = carrier.engine.directory.byCancelKey(request.processId, request.secret);
  if (target === null) {
    carrier.close("failed cancel request: no such client");
    return null;
  }
  if (target.console !== null) {
    target.console.cancel(target);
    carrier.close("cancel request for console client");
    return null;
  }
  const server = target.server;
  if (server === null || target.isSettingParameters) {
    carrier.close("cancel request for idle client");
    return null;
  }
  return new CancelForward(server, (outcome) => carrier.close(outcome));
}
