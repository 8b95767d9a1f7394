/**
 * MD5 passwords (protocol chapter "Authentication", AuthenticationMD5Password):
 *
 *   stored secret  "md5" + md5(password ‖ user)
 *   on the wire    "md5" + md5(hex digits of the stored secret ‖ 4 salt bytes)
 */
import type { Crypto } from "../net/world.ts";
import { SecretKind } from "./stored-secret.ts";
import type { StoredSecret } from "./stored-secret.ts";

export const md5SaltBytes = 4;

/** The stored form of a password. */
export function md5Secret(crypto: Crypto, password: Uint8Array, user: string): string {
  return `md5${crypto.md5Hex(Buffer.concat([password, Buffer.from(user, "utf8")]))}`;
}

/**
 * What goes over the wire for a user and the salt of the request (4 bytes). Null for a SCRAM secret, from which it cannot
 * be made. An empty secret counts as an empty password: the server's refusal then says what is missing.
 */
export function md5Response(crypto: Crypto, secret: StoredSecret, user: string, salt: Uint8Array): string | null {
  if (secret.kind === SecretKind.scram) return null;
  const stored = secret.kind === SecretKind.md5 ? secret.reveal() : md5Secret(crypto, secret.revealBytes(), user);
  return `md5${crypto.md5Hex(Buffer.concat([Buffer.from(stored.slice(3), "latin1"), salt]))}`;
}

/** Did the client answer our salt with the right response? Empty and SCRAM secrets never pass. */
export function verifyMd5Response(
  crypto: Crypto,
  secret: StoredSecret,
  user: string,
  salt: Uint8Array,
  response: Uint8Array,
): boolean {
  if (secret.kind === SecretKind.none) return false;
  const expected = md5Response(crypto, secret, user, salt);
  return expected !== null && crypto.equal(Buffer.from(expected, "latin1"), response);
}
