/**
 * The directories that a configuration names, one verifier for each text of options: `auth_ldap_options` and the LDAP rules
 * of an HBA file. Texts come from the configuration only, and are forgotten at a reload, with the certificates that were
 * read for them.
 */
import { LdapVerifier } from "./ldap-verifier.ts";
import { parseLdapOptions } from "./ldap-options.ts";
import type { PasswordVerifier } from "./password-verifier.ts";

export class LdapVerifiers {
  readonly #byText = new Map<string, PasswordVerifier>();

  /** Options that cannot be used give a verifier that lets nobody in and says why in the log, as in PgBouncer. */
  of(text: string): PasswordVerifier {
    let verifier = this.#byText.get(text);
    if (verifier === undefined) {
      const result = parseLdapOptions(text);
      verifier = result.ok ? new LdapVerifier(result.options) : refusing(result.reason);
      this.#byText.set(text, verifier);
    }
    return verifier;
  }

  forget(): void {
    this.#byText.clear();
  }
}

function refusing(log: string): PasswordVerifier {
  return { verify: () => Promise.resolve({ ok: false, log }) };
}
