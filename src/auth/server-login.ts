/**
 * The password dialogue with PostgreSQL, as one state machine: AuthenticationRequests in, bodies of 'p' messages, success
 * or failure out. PgBouncer's counterpart is `answer_authreq` in `proto.c`.
 *
 * Spoken: AuthenticationOk, cleartext, MD5 (plain or md5 secret), SCRAM-SHA-256 (plain secret, or the keys that a client
 * proved). Once SCRAM has begun, AuthenticationOk counts only after the server has proved itself, as in libpq. ErrorResponse
 * and all after AuthenticationOk are the session's.
 *
 *   receive(ok)                                                     → ok
 *   receive(cleartext | md5) → send … receive(ok)                   → ok
 *   receive(sasl) → send … receive(continue) → send … receive(final) → wait … receive(ok) → ok
 */
import type { Crypto } from "../net/world.ts";
import { AuthCode, offersScram, scramMechanism } from "./auth-request.ts";
import { md5Response, md5SaltBytes } from "./md5.ts";
import { printPassword, printSaslInitialResponse } from "./password-message.ts";
import { ScramClient } from "./scram-client.ts";
import type { ScramKeyCache } from "./scram-key-cache.ts";
import type { ScramKeys } from "./scram-keys.ts";
import type { ScramFailure } from "./scram-message.ts";
import { SecretKind, StoredSecret } from "./stored-secret.ts";

export interface ServerLoginOptions {
  readonly crypto: Crypto;
  /** The user of the startup packet: MD5 hashes it in. */
  readonly user: string;
  /** Null or of kind `none`: as an empty password; the server then says what it misses. */
  readonly secret: StoredSecret | null;
  /** Proven by a client of this user against the same verifier; null if there are none. A plain secret goes before. */
  readonly scramKeys: ScramKeys | null;
  readonly keyCache: ScramKeyCache;
}

/**
 * - `send`: send a 'p' message with this body, then hand over the next AuthenticationRequest.
 * - `wait`: nothing to send, hand over the next one.
 * - `ok`: logged in.
 * - `fail`: close this server; `log` is the line to write. `clientMessage`: what clients waiting in the pool are told,
 *   null where PgBouncer lets them wait on.
 */
export type ServerLoginStep =
  | { readonly kind: "send"; readonly body: Uint8Array }
  | { readonly kind: "wait" }
  | { readonly kind: "ok" }
  | { readonly kind: "fail"; readonly log: string; readonly clientMessage: string | null };

const Phase = {
  start: "start",
  /** A password is out. */
  password: "password",
  saslFirst: "sasl first",
  /** A promise is pending. */
  deriving: "deriving",
  saslFinal: "sasl final",
  proven: "proven",
  over: "over",
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

const wrongType = "server login failed: wrong password type";
const noMechanism = "none of the server's SASL authentication mechanisms are supported";
const badSignature = "invalid server signature";

export class ServerLogin {
  readonly #options: ServerLoginOptions;
  readonly #secret: StoredSecret;
  #scram: ScramClient | null = null;
  #phase: Phase = Phase.start;

  constructor(options: ServerLoginOptions) {
    this.#options = options;
    this.#secret = options.secret ?? new StoredSecret("");
  }

  /**
   * The step after an AuthenticationRequest. A promise only where PBKDF2 has to run; it never rejects. The payload is read
   * before this returns.
   */
  receive(code: number, payload: Uint8Array): ServerLoginStep | Promise<ServerLoginStep> {
    if (this.#phase === Phase.over || this.#phase === Phase.deriving) {
      return this.#fail(`protocol error: unexpected authentication request ${code}`);
    }
    switch (code) {
      case AuthCode.ok:
        return this.#receiveOk();
      case AuthCode.cleartextPassword:
        return this.#sendCleartext();
      case AuthCode.md5Password:
        return this.#sendMd5(payload);
      case AuthCode.sasl:
        return this.#startSasl(payload);
      case AuthCode.saslContinue:
        return this.#continueSasl(payload);
      case AuthCode.saslFinal:
        return this.#finishSasl(payload);
      default:
        return this.#fail(`unknown/unsupported auth method: ${code}`);
    }
  }

  #receiveOk(): ServerLoginStep {
    if (this.#scram !== null && this.#phase !== Phase.proven) {
      // It accepted us without showing that it knows the password: nothing that we should send queries to.
      return this.#fail(
        "server ended SCRAM authentication without a signature",
        `server login failed: ${badSignature}`,
      );
    }
    this.#phase = Phase.over;
    return { kind: "ok" };
  }

  #sendCleartext(): ServerLoginStep {
    if (this.#phase !== Phase.start) return this.#fail("protocol error: duplicate password request from server");
    const { kind } = this.#secret;
    if (kind === SecretKind.md5 || kind === SecretKind.scram) {
      // The hash is not the password, and the server has no business to learn it.
      return this.#fail("cannot do cleartext authentication: wrong password type", wrongType);
    }
    return this.#send(Phase.password, printPassword(this.#secret.revealBytes()));
  }

  #sendMd5(salt: Uint8Array): ServerLoginStep {
    if (this.#phase !== Phase.start) return this.#fail("protocol error: duplicate password request from server");
    if (salt.length !== md5SaltBytes) return this.#fail("protocol error: malformed AuthenticationMD5Password message");
    const { crypto, user } = this.#options;
    const response = md5Response(crypto, this.#secret, user, salt);
    if (response === null) return this.#fail("cannot do MD5 authentication: wrong password type", wrongType);
    return this.#send(Phase.password, printPassword(Buffer.from(response, "latin1")));
  }

  #startSasl(mechanisms: Uint8Array): ServerLoginStep {
    if (!offersScram(mechanisms)) return this.#fail(noMechanism, `server login failed: ${noMechanism}`);
    const credential = this.#scramCredential();
    if (typeof credential === "string") {
      return this.#fail(`cannot do SCRAM authentication: ${credential}`, wrongType);
    }
    if (this.#phase !== Phase.start) {
      return this.#fail("protocol error: duplicate AuthenticationSASL message from server");
    }
    this.#scram = new ScramClient(this.#options.crypto, credential, this.#options.keyCache);
    return this.#send(Phase.saslFirst, printSaslInitialResponse(scramMechanism, this.#scram.first()));
  }

  /** The password or keys to prove, or why there is neither. */
  #scramCredential(): Uint8Array | ScramKeys | string {
    const { scramKeys } = this.#options;
    switch (this.#secret.kind) {
      case SecretKind.plain:
        return this.#secret.revealBytes();
      case SecretKind.scram:
        return scramKeys ?? "password is SCRAM secret but client authentication did not provide SCRAM keys";
      case SecretKind.md5:
        return "wrong password type";
      case SecretKind.none:
        return scramKeys ?? this.#secret.revealBytes();
    }
  }

  #continueSasl(payload: Uint8Array): ServerLoginStep | Promise<ServerLoginStep> {
    if (this.#scram === null) {
      return this.#fail("protocol error: AuthenticationSASLContinue without prior AuthenticationSASL");
    }
    if (this.#phase !== Phase.saslFirst) {
      return this.#fail("SCRAM exchange protocol error: received second AuthenticationSASLContinue");
    }
    const reply = this.#scram.receiveFirst(payload);
    if (!(reply instanceof Promise)) return this.#sendFinal(reply);
    this.#phase = Phase.deriving;
    return reply.then((derived) =>
      this.#phase === Phase.deriving ? this.#sendFinal(derived) : this.#fail("protocol error: login has ended"),
    );
  }

  #sendFinal(reply: { readonly ok: true; readonly message: Uint8Array } | ScramFailure): ServerLoginStep {
    return reply.ok ? this.#send(Phase.saslFinal, reply.message) : this.#fail(reply.reason);
  }

  #finishSasl(payload: Uint8Array): ServerLoginStep {
    if (this.#scram === null || this.#phase !== Phase.saslFinal) {
      return this.#fail("protocol error: AuthenticationSASLFinal without prior AuthenticationSASLContinue");
    }
    const failure = this.#scram.receiveFinal(payload);
    if (failure === null) {
      this.#phase = Phase.proven;
      return { kind: "wait" };
    }
    return this.#fail(failure.reason, failure.reason === badSignature ? `server login failed: ${badSignature}` : null);
  }

  #send(next: Phase, body: Uint8Array): ServerLoginStep {
    this.#phase = next;
    return { kind: "send", body };
  }

  #fail(log: string, clientMessage: string | null = null): ServerLoginStep {
    this.#phase = Phase.over;
    return { kind: "fail", log, clientMessage };
  }
}
