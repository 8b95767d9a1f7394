/** A user the pooler knows, and what is counted for it over all databases. */
import type { ScramKeys } from "../auth/scram-keys.ts";
import type { StoredSecret } from "../auth/stored-secret.ts";
import type { Credentials } from "./credentials.ts";
import type { UserEntry } from "../config/user-entry.ts";
import { maxUserConnections } from "../config/precedence.ts";
import type { Settings } from "../config/settings.ts";
import { Budget } from "../pool/budget.ts";

export class User implements Credentials {
  readonly name: string;
  /** From auth_file; null when it has no line there: every password dialogue with it fails. */
  secret: StoredSecret | null = null;
  /** Its line in `[users]`. */
  entry: UserEntry | null = null;
  /** Proven by a client of this user against its stored verifier: logs in to PostgreSQL with the same verifier. */
  scramKeys: ScramKeys | null = null;
  /** Server connections of its pools: `max_user_connections`. */
  readonly connections: Budget;
  /** Client connections that logged in, or try to, as this user. */
  clientCount = 0;

  constructor(name: string, settings: Settings) {
    this.name = name;
    this.connections = new Budget(`user ${name}`, () => maxUserConnections(settings, this.entry));
  }
}
