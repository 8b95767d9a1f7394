/**
 * Who judges a cleartext password that no stored secret judges: a directory (LDAP) or the operating system (PAM).
 *
 * The implementations (`ldap-verifier.ts`, `pam-verifier.ts`) know nothing of clients and their messages; the login machine
 * asks them once for each password and sends the client its own words of failure.
 */

export interface PasswordVerdict {
  readonly ok: boolean;
  /** A warning for the log that says why, without the password; null: nothing to say. May be set on success too. */
  readonly log: string | null;
}

export interface PasswordVerifier {
  /**
   * Whether `password` is `user`'s. Takes as long as the authority takes; never rejects. `remoteHost` is where the client
   * comes from, in words: an address, or "unix". All three are texts as `decodeText` makes them, so that bytes that are no
   * UTF-8 survive.
   */
  verify(user: string, password: string, remoteHost: string): Promise<PasswordVerdict>;
}
