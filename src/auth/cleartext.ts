/**
 * A password that came in the clear, against whatever secret is stored.
 */
import type { Crypto } from "../net/world.ts";
import { md5Secret } from "./md5.ts";
import { deriveScramKeys } from "./scram-keys.ts";
import type { ScramVerifier } from "./scram-verifier.ts";
import { SecretKind } from "./stored-secret.ts";
import type { StoredSecret } from "./stored-secret.ts";

/**
 * A promise for SCRAM secrets only (it costs a PBKDF2); it rejects if the crypto library does, or the verifier's
 * iteration count is above `scramIterationsMax`. Empty secrets never pass.
 */
export function verifyCleartext(
  crypto: Crypto,
  secret: StoredSecret,
  user: string,
  password: Uint8Array,
): boolean | Promise<boolean> {
  switch (secret.kind) {
    case SecretKind.none:
      return false;
    case SecretKind.plain:
      // Hashes are compared, so that not even the length shows in the time taken.
      return crypto.equal(crypto.sha256(secret.revealBytes()), crypto.sha256(password));
    case SecretKind.md5:
      return crypto.equal(secret.revealBytes(), Buffer.from(md5Secret(crypto, password, user), "latin1"));
    case SecretKind.scram:
      return secret.verifier !== null && matchesVerifier(crypto, secret.verifier, password);
  }
}

async function matchesVerifier(crypto: Crypto, verifier: ScramVerifier, password: Uint8Array): Promise<boolean> {
  const keys = await deriveScramKeys(crypto, password, verifier.salt, verifier.iterations);
  return crypto.equal(keys.serverKey, verifier.serverKey);
}
