/**
 * The words that settings of type enum accept, spelled as PgBouncer spells them. Accepted in any case, kept in this one.
 */

/** When a server is given back to its pool. */
export const PoolMode = { session: "session", transaction: "transaction", statement: "statement" } as const;
export type PoolMode = (typeof PoolMode)[keyof typeof PoolMode];

/** How clients prove who they are. `peer` and `reject` exist in HBA files only. */
export const AuthType = {
  any: "any",
  trust: "trust",
  plain: "plain",
  md5: "md5",
  cert: "cert",
  hba: "hba",
  ldap: "ldap",
  pam: "pam",
  scramSha256: "scram-sha-256",
} as const;
export type AuthType = (typeof AuthType)[keyof typeof AuthType];

/** How much TLS is asked of the other side. */
export const SslMode = {
  disable: "disable",
  allow: "allow",
  prefer: "prefer",
  require: "require",
  verifyCa: "verify-ca",
  verifyFull: "verify-full",
} as const;
export type SslMode = (typeof SslMode)[keyof typeof SslMode];

/** Which host of a list the next server connection goes to. */
export const LoadBalanceHosts = { roundRobin: "round-robin", disable: "disable" } as const;
export type LoadBalanceHosts = (typeof LoadBalanceHosts)[keyof typeof LoadBalanceHosts];

/** The one of `words` that `text` spells in any case, or null. */
export function matchWord<W extends string>(words: readonly W[], text: string): W | null {
  const wanted = text.toLowerCase();
  return words.find((word) => word === wanted) ?? null;
}
