/**
 * What a client is told at the end of its login: AuthenticationOk, parameters, cancel key, ReadyForQuery.
 *
 * The parameters are the same bytes for all clients that brought the same settings, and made once for each set.
 */
import { AUTHENTICATION_OK, READY_IDLE, backendKeyData, parameterStatus } from "../protocol/backend-messages.ts";
import { noticeResponse } from "../protocol/error-messages.ts";
import type { ParameterValues } from "../state/tracked-parameters.ts";
import type { Client } from "./client.ts";
import type { Engine } from "./engine.ts";

/** Different sets of settings whose bytes are kept. */
const KEPT_MAX = 64;

export class Welcome {
  /** Tracked parameters, for clients that brought none of their own. */
  readonly tracked: ParameterValues;
  readonly #untracked: readonly (readonly [name: string, value: string])[];
  readonly #kept = new Map<ParameterValues, Uint8Array>();

  /** `untracked`: parameters that are the same for all clients, in order. */
  constructor(untracked: readonly (readonly [name: string, value: string])[], tracked: ParameterValues) {
    this.#untracked = untracked;
    this.tracked = tracked;
  }

  /** Parameters that are the same for all clients, in order. */
  get untracked(): readonly (readonly [name: string, value: string])[] {
    return this.#untracked;
  }

  /** All that `client` is told. */
  messagesFor(client: Client): Uint8Array {
    const { settings } = client.engine;
    const secret = new Uint8Array(4);
    new DataView(secret.buffer).setUint32(0, client.keySecret);
    const parts: Uint8Array[] = [this.#parameterMessages(client), backendKeyData(client.keyProcessId, secret)];
    if (settings.loginNotifyMessage !== "") {
      parts.push(noticeResponse({ severity: "NOTICE", code: "00000", message: settings.loginNotifyMessage }));
    }
    parts.push(READY_IDLE);
    return Buffer.concat(parts);
  }

  #parameterMessages(client: Client): Uint8Array {
    const kept = this.#kept.get(client.parameters);
    if (kept !== undefined) return kept;
    const parts: Uint8Array[] = [AUTHENTICATION_OK];
    for (const [name, value] of this.#untracked) parts.push(parameterStatus(name, value));
    for (const [index, name] of client.engine.parameters.names.entries()) {
      const value = client.parameters[index];
      if (value !== null && value !== undefined) parts.push(parameterStatus(name, value));
    }
    const bytes = Buffer.concat(parts);
    if (this.#kept.size >= KEPT_MAX) this.#kept.clear();
    this.#kept.set(client.parameters, bytes);
    return bytes;
  }
}

/** Made of what a server reported at its login, in its order. `tracked`: its tracked parameters. */
export function welcomeOf(engine: Engine, reported: ReadonlyMap<string, string>, tracked: ParameterValues): Welcome {
  const untracked = [...reported].filter(([name]) => engine.parameters.indexOf(name) < 0);
  return new Welcome(untracked, tracked);
}
