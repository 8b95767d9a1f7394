/**
 * The password dialogue with a client, as one state machine: bodies of its 'p' messages in, AuthenticationRequests, success
 * or failure out. PgBouncer's counterpart is the login half of `client.c`.
 *
 *              start()                receive(body)              receive(body)
 *   any, trust ───────▶ ok / fail
 *   plain      ───────▶ cleartext ──▶ ok / fail
 *   md5        ───────▶ md5 ────────▶ ok / fail
 *   scram      ───────▶ sasl ───────▶ sasl continue ───────────▶ ok (with sasl final) / fail
 *
 * Who the user is, what its secret is, and which method applies (`auth_type`, later the HBA file) is decided before. An
 * unknown user goes through the same dialogue as a known one and fails at its end. AuthenticationOk and everything after
 * it is the session's. The session hands over one message at a time; one that comes while a promise is pending ends the
 * login.
 *
 * For LDAP and PAM the password is asked for here, and judged outside. Certificates and peer have no dialogue.
 */
import type { Crypto } from "../net/world.ts";
import { decodeText } from "../protocol/byte-text.ts";
import { AuthCode, saslMechanismsPayload, scramMechanism } from "./auth-request.ts";
import type { AuthRequest } from "./auth-request.ts";
import { verifyCleartext } from "./cleartext.ts";
import { md5SaltBytes, verifyMd5Response } from "./md5.ts";
import { passwordBytesMax, readPassword, readSaslInitialResponse } from "./password-message.ts";
import type { PasswordVerifier } from "./password-verifier.ts";
import type { ScramKeys } from "./scram-keys.ts";
import { ScramServer } from "./scram-server.ts";
import { mockScramVerifier, ScramVerifier } from "./scram-verifier.ts";
import { SecretKind, StoredSecret } from "./stored-secret.ts";
import type { VerifierCache } from "./verifier-cache.ts";

/** The methods of this machine, in the words of `auth_type` where it has one. */
export const AuthMethod = {
  any: "any",
  trust: "trust",
  plain: "plain",
  md5: "md5",
  scram: "scram-sha-256",
  /** The password in cleartext, judged by a directory or the operating system. */
  outside: "outside",
} as const;
export type AuthMethod = (typeof AuthMethod)[keyof typeof AuthMethod];

/** Who judges the password of method `outside`, and what the client is told when it is wrong. */
export interface Outside {
  readonly verifier: PasswordVerifier;
  readonly failure: string;
  /** Where the client comes from: an address, or "unix". */
  readonly remoteHost: string;
}

export interface ClientLoginOptions {
  readonly crypto: Crypto;
  readonly method: AuthMethod;
  readonly user: string;
  /** Null: the user is unknown. The dialogue is mocked. */
  readonly secret: StoredSecret | null;
  /** The database entry names the user for its servers; `any` cannot do without (the console counts as having one). */
  readonly hasForcedUser: boolean;
  /** `scram_iterations`: for verifiers made of plain secrets, and mocked ones. */
  readonly scramIterations: number;
  readonly verifiers: VerifierCache;
  /** 32 random bytes, the same for the life of the process: see `mockScramVerifier`. */
  readonly mockSecret: Uint8Array;
  /** For method `outside`, which needs it. */
  readonly outside?: Outside | null;
}

/**
 * - `ask`: send `request`, then hand over the next 'p' message.
 * - `ok`: send `request` if there is one, then AuthenticationOk. `scramKeys`: what the client proved against a stored
 *   verifier, for pass-through to the server; null in every other case. `password`: the one that was judged outside,
 *   for logins to servers; null in every other case. `log`: a line of its own, null for none.
 * - `fail`: close the connection with FATAL `message`. `log`: a line of its own before it, where PgBouncer has one.
 */
export type ClientLoginStep =
  | { readonly kind: "ask"; readonly request: AuthRequest }
  | {
      readonly kind: "ok";
      readonly request: AuthRequest | null;
      readonly scramKeys: ScramKeys | null;
      readonly password: StoredSecret | null;
      readonly log: string | null;
    }
  | { readonly kind: "fail"; readonly message: string; readonly log: string | null };

const Phase = {
  start: "start",
  password: "password",
  md5: "md5",
  saslInitial: "sasl initial",
  saslFinal: "sasl final",
  /** A promise is pending. */
  waiting: "waiting",
  over: "over",
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

const passwordFailed = "password authentication failed";
const saslFailed = "SASL authentication failed";
const noPayload = new Uint8Array(0);

export class ClientLogin {
  readonly #options: ClientLoginOptions;
  readonly #scram: ScramServer;
  #phase: Phase = Phase.start;
  #md5Salt: Uint8Array = noPayload;

  constructor(options: ClientLoginOptions) {
    this.#options = options;
    this.#scram = new ScramServer(options.crypto);
  }

  /** The first step; called once. */
  start(): ClientLoginStep {
    const { crypto, secret, hasForcedUser } = this.#options;
    if (this.#phase !== Phase.start) return this.#fail(passwordFailed, "login dialogue started twice");
    switch (effectiveMethod(this.#options.method, secret)) {
      case AuthMethod.any:
        return hasForcedUser
          ? this.#succeed(null, null)
          : this.#fail("bouncer config error", "auth_type=any requires forced user");
      case AuthMethod.trust:
        return secret === null ? this.#fail('"trust" authentication failed') : this.#succeed(null, null);
      case AuthMethod.plain:
      case AuthMethod.outside:
        return this.#ask(Phase.password, AuthCode.cleartextPassword, noPayload);
      case AuthMethod.md5:
        this.#md5Salt = crypto.randomBytes(md5SaltBytes);
        return this.#ask(Phase.md5, AuthCode.md5Password, this.#md5Salt);
      case AuthMethod.scram:
        return this.#ask(Phase.saslInitial, AuthCode.sasl, saslMechanismsPayload());
    }
  }

  /**
   * The step after a 'p' message with this body. A promise only where PBKDF2 has to run; it never rejects. The body is
   * read before this returns.
   */
  receive(body: Uint8Array): ClientLoginStep | Promise<ClientLoginStep> {
    switch (this.#phase) {
      case Phase.password:
      case Phase.md5:
        return this.#receivePassword(body);
      case Phase.saslInitial:
        return this.#receiveSaslInitial(body);
      case Phase.saslFinal:
        return this.#receiveSaslFinal(body);
      case Phase.start:
      case Phase.waiting:
      case Phase.over:
        return this.#fail(passwordFailed, "client password pkt out of order");
    }
  }

  #receivePassword(body: Uint8Array): ClientLoginStep | Promise<ClientLoginStep> {
    const { crypto, outside, user, secret } = this.#options;
    const password = readPassword(body);
    if (password === null) return this.#fail("invalid password packet size");
    if (password.length === 0) return this.#fail("empty password returned by client");
    if (password.length > passwordBytesMax) return this.#fail(passwordFailed);
    if (outside) return this.#judgeOutside(outside, password);
    if (secret === null) return this.#fail(passwordFailed);

    if (this.#phase === Phase.md5) {
      const matches = verifyMd5Response(crypto, secret, user, this.#md5Salt, password);
      return matches ? this.#succeed(null, null) : this.#fail(passwordFailed);
    }
    const matches = verifyCleartext(crypto, secret, user, password);
    if (matches === true) return this.#succeed(null, null);
    return matches === false ? this.#fail(passwordFailed) : this.#finishPassword(matches);
  }

  async #judgeOutside(outside: Outside, bytes: Uint8Array): Promise<ClientLoginStep> {
    this.#phase = Phase.waiting;
    const { user } = this.#options;
    const secret = new StoredSecret(Buffer.from(bytes).toString("utf8"));
    const verdict = await outside.verifier.verify(user, decodeText(bytes, 0, bytes.length), outside.remoteHost);
    if (this.#phase !== Phase.waiting) return this.#fail(outside.failure);
    if (!verdict.ok) return this.#fail(outside.failure, verdict.log);
    this.#phase = Phase.over;
    return { kind: "ok", request: null, scramKeys: null, password: secret, log: verdict.log };
  }

  async #finishPassword(verifying: Promise<boolean>): Promise<ClientLoginStep> {
    this.#phase = Phase.waiting;
    let matches: boolean;
    try {
      matches = await verifying;
    } catch (error) {
      return this.#fail(passwordFailed, derivationFailed(error));
    }
    // A message that came meanwhile has ended the login.
    if (this.#phase !== Phase.waiting) return this.#fail(passwordFailed);
    return matches ? this.#succeed(null, null) : this.#fail(passwordFailed);
  }

  #receiveSaslInitial(body: Uint8Array): ClientLoginStep | Promise<ClientLoginStep> {
    const initial = readSaslInitialResponse(body);
    if (initial === null) return this.#fail(saslFailed, "malformed SASLInitialResponse");
    if (initial.mechanism !== scramMechanism) {
      return this.#fail("client selected an invalid SASL authentication mechanism");
    }
    if (initial.data === null) return this.#fail(saslFailed, "SASLInitialResponse without client-first-message");
    const failure = this.#scram.readFirst(initial.data);
    if (failure !== null) return this.#fail(saslFailed, failure.reason);

    const verifier = this.#verifier();
    if (verifier instanceof ScramVerifier) return this.#challenge(verifier);
    this.#phase = Phase.waiting;
    return this.#challengeLater(verifier);
  }

  async #challengeLater(deriving: Promise<ScramVerifier>): Promise<ClientLoginStep> {
    let verifier: ScramVerifier;
    try {
      verifier = await deriving;
    } catch (error) {
      return this.#fail(saslFailed, derivationFailed(error));
    }
    return this.#phase === Phase.waiting ? this.#challenge(verifier) : this.#fail(saslFailed);
  }

  #challenge(verifier: ScramVerifier): ClientLoginStep {
    const { secret } = this.#options;
    const challenge = this.#scram.challenge(verifier, secret === null || !canDoScram(secret));
    if (!(challenge instanceof Uint8Array)) return this.#fail(saslFailed, challenge.reason);
    return this.#ask(Phase.saslFinal, AuthCode.saslContinue, challenge);
  }

  #receiveSaslFinal(body: Uint8Array): ClientLoginStep {
    const { secret } = this.#options;
    const result = this.#scram.receiveFinal(body);
    if (!result.ok) {
      const isMd5 = secret?.kind === SecretKind.md5;
      return this.#fail(saslFailed, isMd5 ? "SCRAM authentication failed: user has MD5 secret" : result.reason);
    }
    const scramKeys = secret?.kind === SecretKind.scram ? result.keys : null;
    return this.#succeed({ code: AuthCode.saslFinal, payload: result.message }, scramKeys);
  }

  /** The verifier to challenge with. Users who can never pass get a mocked one, so that they look like the others. */
  #verifier(): ScramVerifier | Promise<ScramVerifier> {
    const { crypto, user, secret, scramIterations, mockSecret, verifiers } = this.#options;
    if (secret?.verifier) return secret.verifier;
    if (secret?.kind === SecretKind.plain) return verifiers.verifierOf(secret, scramIterations);
    return mockScramVerifier(crypto, user, scramIterations, mockSecret);
  }

  #ask(next: Phase, code: number, payload: Uint8Array): ClientLoginStep {
    this.#phase = next;
    return { kind: "ask", request: { code, payload } };
  }

  #succeed(request: AuthRequest | null, scramKeys: ScramKeys | null): ClientLoginStep {
    this.#phase = Phase.over;
    return { kind: "ok", request, scramKeys, password: null, log: null };
  }

  #fail(message: string, log: string | null = null): ClientLoginStep {
    this.#phase = Phase.over;
    return { kind: "fail", message, log };
  }
}

/** `md5` with a stored SCRAM verifier is SCRAM: MD5 cannot be checked against it. */
function effectiveMethod(method: AuthMethod, secret: StoredSecret | null): AuthMethod {
  return method === AuthMethod.md5 && secret?.kind === SecretKind.scram ? AuthMethod.scram : method;
}

function canDoScram(secret: StoredSecret): boolean {
  return secret.kind === SecretKind.plain || secret.kind === SecretKind.scram;
}

function derivationFailed(error: unknown): string {
  return `SCRAM key derivation failed: ${error instanceof Error ? error.message : "unknown error"}`;
}
