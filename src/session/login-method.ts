/**
 * How a client has to prove who it is: by `auth_type`, or by the first line of the HBA file that is for it; and the methods
 * that need no dialogue.
 *
 * Counterpart: PgBouncer's `finish_set_pool`, `login_via_cert`, `login_as_unix_peer`; texts are its own.
 */
import { readCertificateNames } from "../auth/certificate-names.ts";
import type { Outside } from "../auth/client-login.ts";
import { AuthMethod } from "../auth/client-login.ts";
import type { HbaMethod, HbaRule } from "../auth/hba-rules.ts";
import { identAllows } from "../auth/ident-map.ts";
import type { IdentMap } from "../auth/ident-map.ts";
import type { PasswordVerifier } from "../auth/password-verifier.ts";
import { AuthType } from "../config/setting-words.ts";
import { userName as systemUserName } from "../net/system-user.ts";
import type { Client } from "./client.ts";

/** What the connection itself says of the client. */
export interface ClientConnectionFacts {
  readonly isUnixSocket: boolean;
  readonly isSecure: boolean;
  /** DER; null when it showed none. */
  readonly certificate: Uint8Array | null;
}

export interface LoginMethod {
  /** `none`: no line of the HBA file is for this client, or its method lacks what it needs. */
  readonly name: AuthMethod | "peer" | "cert" | "reject" | "none";
  /** For `peer` and `cert`. */
  readonly map: IdentMap | null;
  /** For `outside`. */
  readonly outside: Outside | null;
  /** A directory or the system has the say; a user need not be known before. */
  readonly judgedOutside: boolean;
  /** What a client is told that is refused without a dialogue. */
  readonly failure: string;
}

export function loginMethod(client: Client, facts: ClientConnectionFacts, user: string): LoginMethod {
  const { logins, settings } = client.engine;
  const { authType } = settings;
  if (authType === AuthType.ldap) {
    const options = settings.authLdapOptions;
    if (options !== null) return outside(client, facts, logins.ldap(options.reveal()), "LDAP authentication failed");
    return { ...plainly("none", "auth_ldap_options is null"), judgedOutside: true };
  }
  if (authType === AuthType.pam) return outside(client, facts, logins.pam(), "PAM authentication failed");
  if (authType !== AuthType.hba) return plainly(METHOD_OF_TYPE[authType]);
  const rule = ruleFor(client, facts, user);
  if (rule === null) return plainly("none", "no authentication method is found");
  client.engine.log.noise(`${client} HBA Line ${rule.line} is matched`);
  if (rule.method === "ldap") {
    return outside(client, facts, logins.ldap(rule.options), "LDAP authentication failed");
  }
  return { ...plainly(METHOD_OF_RULE[rule.method]), map: rule.map };
}

function ruleFor(client: Client, facts: ClientConnectionFacts, user: string): HbaRule | null {
  return client.engine.logins.hba.evaluate({
    isUnixSocket: facts.isUnixSocket,
    address: client.connection.remote.address,
    tls: facts.isSecure,
    database: client.databaseName ?? "",
    user,
    replication: client.replication,
  });
}

function plainly(name: LoginMethod["name"], failure: string = FAILURES[name] ?? ""): LoginMethod {
  return { name, map: null, outside: null, judgedOutside: false, failure };
}

function outside(
  client: Client,
  facts: ClientConnectionFacts,
  verifier: PasswordVerifier,
  failure: string,
): LoginMethod {
  const remoteHost = facts.isUnixSocket ? "unix" : client.connection.remote.address;
  return {
    name: AuthMethod.outside,
    map: null,
    outside: { verifier, failure, remoteHost },
    judgedOutside: true,
    failure,
  };
}

/** Why the system user behind a Unix socket may not be `user`; null when it may. */
export function peerProblem(
  client: Client,
  facts: ClientConnectionFacts,
  user: string,
  isKnown: boolean,
  map: IdentMap | null,
): string | null {
  if (!isKnown) return "unknown user";
  const peer = facts.isUnixSocket ? client.engine.world.peerCredentials(client.connection.fd) : null;
  if (peer === null) return "the peer's credentials are not known";
  const systemUser = systemUserName(peer.uid);
  if (systemUser === null) return `no system user has the id ${peer.uid}`;
  if (identAllows(map, (name) => name === systemUser, user)) return null;
  return map === null ? `system user "${systemUser}" is not "${user}"` : `ident map ${map.name} cannot be matched`;
}

/** Why the certificate does not name `user`; null when it does. Its chain has been judged before. */
export function certificateProblem(
  facts: ClientConnectionFacts,
  user: string,
  isKnown: boolean,
  map: IdentMap | null,
): string | null {
  if (!facts.isSecure) return "TLS connection required";
  if (facts.certificate === null) return "TLS client certificate required";
  if (!isKnown) return "unknown user";
  const names = readCertificateNames(facts.certificate);
  if (names !== null && identAllows(map, (name) => names.contains(name), user)) return null;
  return map === null ? "TLS certificate name mismatch" : `ident map: ${map.name} does not have a match`;
}

const FAILURES: Partial<Record<LoginMethod["name"], string>> = {
  reject: "login rejected",
  peer: "unix socket login rejected",
  cert: "certificate authentication failed",
};

const METHOD_OF_TYPE: Readonly<Record<Exclude<AuthType, "hba" | "ldap" | "pam">, LoginMethod["name"]>> = {
  any: AuthMethod.any,
  trust: AuthMethod.trust,
  plain: AuthMethod.plain,
  md5: AuthMethod.md5,
  cert: "cert",
  "scram-sha-256": AuthMethod.scram,
};

const METHOD_OF_RULE: Readonly<Record<Exclude<HbaMethod, "ldap">, LoginMethod["name"]>> = {
  trust: AuthMethod.trust,
  reject: "reject",
  md5: AuthMethod.md5,
  password: AuthMethod.plain,
  peer: "peer",
  cert: "cert",
  "scram-sha-256": AuthMethod.scram,
};
