/**
 * What is known of a user for password dialogues, towards clients and towards servers.
 *
 * From auth_file they are the user's own. What auth_query, PAM or LDAP bring to light holds for the database that it was
 * asked for: the same name may be somebody else on another PostgreSQL.
 */
import type { ScramKeys } from "../auth/scram-keys.ts";
import type { StoredSecret } from "../auth/stored-secret.ts";

export interface Credentials {
  /** Null: none is known, every password dialogue fails. */
  secret: StoredSecret | null;
  /** Proven by a client against that secret, a SCRAM verifier: a login to PostgreSQL with the same verifier can use them. */
  scramKeys: ScramKeys | null;
}
