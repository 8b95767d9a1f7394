/**
 * What we keep of a user's password: from the userlist, a connection string or auth_query. Its kind is decided by its
 * shape alone, as in PgBouncer's `get_password_type`: a plain password that looks like a hash is taken for one.
 *
 * The text lives in a private field: inspect, JSON and template strings print nothing of it.
 */
import { parseScramVerifier } from "./scram-verifier.ts";
import type { ScramVerifier } from "./scram-verifier.ts";

export const SecretKind = {
  /** Empty: such a user passes `trust` and never a password check. */
  none: "none",
  plain: "plain",
  /** `md5` and 32 lower-case hexadecimal digits. */
  md5: "md5",
  /** A SCRAM-SHA-256 verifier. */
  scram: "scram",
} as const;
export type SecretKind = (typeof SecretKind)[keyof typeof SecretKind];

export class StoredSecret {
  readonly kind: SecretKind;
  readonly #text: string;
  readonly #verifier: ScramVerifier | null;

  /** "" is the secret of kind `none`. */
  constructor(text: string) {
    this.#text = text;
    this.#verifier = parseScramVerifier(text);
    this.kind = kindOf(text, this.#verifier);
  }

  /** The text itself: for computing and comparing, never for showing. */
  reveal(): string {
    return this.#text;
  }

  /** The text in UTF-8. */
  revealBytes(): Uint8Array {
    return Buffer.from(this.#text, "utf8");
  }

  /** Of kind `scram` only; null otherwise. */
  get verifier(): ScramVerifier | null {
    return this.#verifier;
  }
}

function kindOf(text: string, verifier: ScramVerifier | null): SecretKind {
  if (text === "") return SecretKind.none;
  if (/^md5[0-9a-f]{32}$/.test(text)) return SecretKind.md5;
  return verifier === null ? SecretKind.plain : SecretKind.scram;
}
