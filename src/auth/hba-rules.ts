/**
 * The rules of an HBA file, and which of them decides about a client. The first one that matches does. How the file is
 * read is `hba-file.ts`'s; carrying a method out is the login's. PgBouncer's counterpart is `hba_eval` in `hba.c`.
 */
import { parseClientAddress } from "./hba-address.ts";
import type { AddressBytes, AddressRange } from "./hba-address.ts";
import type { HbaNames } from "./hba-names.ts";
import type { IdentMap } from "./ident-map.ts";

/** How a client is asked to prove who it is, in the words of the file. */
export const HbaMethod = {
  trust: "trust",
  reject: "reject",
  md5: "md5",
  /** In cleartext: `plain` of `auth_type`. */
  password: "password",
  peer: "peer",
  cert: "cert",
  scram: "scram-sha-256",
  ldap: "ldap",
} as const;
export type HbaMethod = (typeof HbaMethod)[keyof typeof HbaMethod];

/** For whom a rule is: for clients on the Unix socket (`local`) or over TCP, with or without regard to TLS. */
export const HbaType = {
  local: "local",
  host: "host",
  hostssl: "hostssl",
  hostnossl: "hostnossl",
} as const;
export type HbaType = (typeof HbaType)[keyof typeof HbaType];

export interface HbaRule {
  readonly type: HbaType;
  readonly databases: HbaNames;
  readonly users: HbaNames;
  /** Null: every address. Always null for `local`. */
  readonly addresses: AddressRange | null;
  readonly method: HbaMethod;
  /** Of `map=`. Accepted behind every method; `cert` and `peer` use it. */
  readonly map: IdentMap | null;
  /** Of `ldap`, the rest of the line, as in `auth_ldap_options`; else "". May name a password: not for the log. */
  readonly options: string;
  /** In the file, from 1. */
  readonly line: number;
}

/** What the rules want to know about a client. */
export interface HbaQuestion {
  readonly isUnixSocket: boolean;
  /** A literal IPv4 or IPv6 address; "" for a Unix socket. */
  readonly address: string;
  readonly tls: boolean;
  readonly database: string;
  readonly user: string;
  /** `replication` of the startup packet: `yes` is physical, `database` logical replication. */
  readonly replication: "no" | "database" | "yes";
}

export class HbaRules {
  readonly #rules: readonly HbaRule[];

  constructor(rules: readonly HbaRule[]) {
    this.#rules = rules;
  }

  get count(): number {
    return this.#rules.length;
  }

  /**
   * The first rule that matches. Null: none does, and the client is refused (`no authentication method is found`); so is
   * one over TCP whose address cannot be read.
   */
  evaluate(question: HbaQuestion): HbaRule | null {
    const address = question.isUnixSocket ? null : parseClientAddress(question.address);
    if (!question.isUnixSocket && address === null) return null;
    return this.#rules.find((rule) => isFor(rule, question, address)) ?? null;
  }
}

/** `address`: of the client; null on the Unix socket. */
function isFor(rule: HbaRule, question: HbaQuestion, address: AddressBytes | null): boolean {
  const { database, user, replication } = question;
  if ((rule.type === HbaType.local) !== question.isUnixSocket) return false;
  if (rule.type === HbaType.hostssl && !question.tls) return false;
  if (rule.type === HbaType.hostnossl && question.tls) return false;
  if (address !== null && rule.addresses !== null && !rule.addresses.contains(address)) return false;
  // Physical replication has no database: neither `all` nor a name lets it in.
  const isForDatabase = replication === "yes" ? rule.databases.hasReplication : rule.databases.matches(database, user);
  return isForDatabase && rule.users.matches(user, database);
}
