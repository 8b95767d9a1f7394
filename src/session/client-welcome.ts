/** What a client is told at the end of its login: AuthenticationOk, parameters, cancel key, ReadyForQuery. */
import { AUTHENTICATION_OK, READY_IDLE, backendKeyData, parameterStatus } from "../protocol/backend-messages.ts";
import { noticeResponse } from "../protocol/error-messages.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { Client } from "./client.ts";

/**
 * `untracked`: parameters that are the same for all clients of the pool; `tracked`: this client's own, in the order of
 * the tracked names.
 */
export function welcomeMessages(
  client: Client,
  untracked: readonly (readonly [name: string, value: string])[],
  tracked: ParameterValues,
): Uint8Array {
  const { parameters, settings } = client.engine;
  const parts: Uint8Array[] = [AUTHENTICATION_OK];
  for (const [name, value] of untracked) parts.push(parameterStatus(name, value));
  for (const [index, name] of parameters.names.entries()) {
    const value = tracked[index];
    if (value !== null && value !== undefined) parts.push(parameterStatus(name, value));
  }
  const secret = new Uint8Array(4);
  new DataView(secret.buffer).setUint32(0, client.keySecret);
  parts.push(backendKeyData(client.keyProcessId, secret));
  if (settings.loginNotifyMessage !== "") {
    parts.push(noticeResponse({ severity: "NOTICE", code: "00000", message: settings.loginNotifyMessage }));
  }
  parts.push(READY_IDLE);
  return Buffer.concat(parts);
}
