/**
 * Passwords judged by a directory (`auth_type=ldap`, the `ldap` method of an HBA file): by a bind as the user, whose name in
 * the directory is either put together (prefix, user name, suffix) or searched for first.
 *
 * Counterpart: `check_ldap_auth` in PgBouncer's `ldapauth.c`, whose log lines these are; a reason that it does not have
 * stands behind them in brackets. No line has a password in it.
 *
 * A bind without a password succeeds in most directories and proves nothing (RFC 4513, 5.1.2), so an empty one never gets
 * there. In search mode user names with `* ( ) \ /` are refused, as they could change the filter; in a name that is put
 * together what has a meaning in a distinguished name is escaped (PgBouncer does not), as it could become another one.
 */
import { LdapStartTlsError } from "../net/ldap-connection.ts";
import type { LdapTls } from "../net/ldap-connection.ts";
import { LdapError, ldapNetwork } from "../net/ldap-session.ts";
import type { LdapNetwork, LdapServer, LdapSession } from "../net/ldap-session.ts";
import { loadLdapTls, readLdapConf } from "./ldap-conf.ts";
import type { LdapOptions, SearchAndBind, SimpleBind } from "./ldap-options.ts";
import { NO_CONTACT, ldapResultText } from "./ldap-result-text.ts";
import type { PasswordVerdict, PasswordVerifier } from "./password-verifier.ts";

/** Logins that ask the directory at the same time; each costs it and us a connection. The others wait for their turn. */
const PARALLEL_MAX = 32;

/** One object for each text of options, kept while it is in force: it remembers certificates, and who waits. */
export class LdapVerifier implements PasswordVerifier {
  readonly #options: LdapOptions;
  readonly #network: LdapNetwork;
  readonly #loadTls: () => Promise<LdapTls>;
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  #tls: Promise<LdapTls> | null = null;

  /** The last two are given by tests: the way to servers, and what judges their certificates. */
  constructor(
    options: LdapOptions,
    network: LdapNetwork = ldapNetwork,
    loadTls: () => Promise<LdapTls> = async () => loadLdapTls(await readLdapConf(process.env)),
  ) {
    this.#options = options;
    this.#network = network;
    this.#loadTls = loadTls;
  }

  async verify(user: string, password: string): Promise<PasswordVerdict> {
    if (password === "" || password.includes("\0")) return { ok: false, log: null };
    if (isNotUnicode(user) || isNotUnicode(password)) {
      return { ok: false, log: "user name or password is not UTF-8, which LDAP requires" };
    }
    // A turn that ends is handed on, so that the count stays.
    if (this.#running >= PARALLEL_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running += 1;
    try {
      return await this.#ask(user, password);
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  async #ask(user: string, password: string): Promise<PasswordVerdict> {
    try {
      const { mode } = this.#options;
      const dn = mode.kind === "search" ? await this.#find(user, mode) : nameOf(user, mode);
      await this.#bindAs(dn, password);
      return { ok: true, log: null };
    } catch (error) {
      if (error instanceof Refusal) return { ok: false, log: error.message };
      const { name, message } = error as Error;
      return { ok: false, log: `LDAP authentication could not be done: ${name}: ${message}` };
    }
  }

  async #find(user: string, mode: SearchAndBind): Promise<string> {
    if (/[*()\\/\0]/.test(user)) throw new Refusal("invalid character in user name for LDAP authentication");
    const { serverText } = this.#options;
    const bindFailure = `could not perform initial LDAP bind for ldapbinddn "${mode.bindDn}" on server "${serverText}"`;
    const filter = mode.filter.replaceAll("$username", () => user);
    const session = await this.#open(bindFailure);
    try {
      await settled(session.bind(mode.bindDn, mode.bindPassword.reveal()), bindFailure);
      const names = await settled(
        session.search({ baseDn: mode.baseDn, scope: mode.scope, filter }),
        `could not search LDAP for filter "${filter}" on server "${serverText}"`,
      );
      const [dn] = names;
      const where = `LDAP search for filter "${filter}" on server "${serverText}" returned`;
      if (dn === undefined) throw new Refusal(`LDAP user "${user}" does not exist (${where} no entries)`);
      if (names.length > 1) throw new Refusal(`LDAP user "${user}" is not unique (${where} more than one entry)`);
      // The directory's root. To bind without a name is to be nobody, whatever the password.
      if (dn === "") {
        throw new Refusal(`could not get dn for the first entry matching "${filter}" on server "${serverText}"`);
      }
      return dn;
    } finally {
      await session.close();
    }
  }

  async #bindAs(dn: string, password: string): Promise<void> {
    const failure = `LDAP login failed for user ${dn} on server ${this.#options.serverText}`;
    const session = await this.#open(failure);
    try {
      await settled(session.bind(dn, password), failure);
    } finally {
      await session.close();
    }
  }

  /** A session with the first server that can be reached. `failure` opens the log line when there is none. */
  async #open(failure: string): Promise<LdapSession> {
    const { scheme, startTls, serverText, port } = this.#options;
    const startTlsFailed = (why: string): Refusal =>
      new Refusal(`could not start LDAP TLS session: ${why}, server: ${serverText}, port: ${port}`);
    if (startTls && scheme === "ldaps") throw startTlsFailed("ldaptls=1 and ldaps exclude each other");
    const security = startTls ? "starttls" : scheme === "ldaps" ? "ldaps" : "none";
    const tls = security === "none" ? null : await this.#tlsRules();
    const troubles: string[] = [];
    for (const server of await this.#servers()) {
      try {
        return await this.#network.open({ ...server, security, tls });
      } catch (error) {
        const { message } = error as Error;
        if (error instanceof LdapStartTlsError) throw startTlsFailed(message);
        troubles.push(`${server.host}: ${message}`);
      }
    }
    if (startTls) throw startTlsFailed(`${NO_CONTACT} (${troubles.join("; ")})`);
    throw new Refusal(`${failure}: ${NO_CONTACT} (${troubles.join("; ")})`);
  }

  async #tlsRules(): Promise<LdapTls> {
    this.#tls ??= this.#loadTls();
    try {
      return await this.#tls;
    } catch (error) {
      // Asked again at the next login: the file may be there by then.
      this.#tls = null;
      throw new Refusal(`could not set up TLS for LDAP: ${(error as Error).message}`);
    }
  }

  async #servers(): Promise<readonly LdapServer[]> {
    const { servers, port, mode } = this.#options;
    if (servers.length > 0) return servers.map((text) => serverOf(text, port));
    const domain = mode.kind === "search" ? domainOf(mode.baseDn) : "";
    if (domain === "") throw new Refusal("could not extract domain name from ldapbasedn");
    const found = await this.#network.serversOf(domain);
    if (found.length === 0) {
      throw new Refusal(`LDAP authentication could not find DNS SRV records for "${domain}"`);
    }
    return found;
  }
}

/** The login fails, and the message is the log line. */
class Refusal extends Error {
  override readonly name = "Refusal";
}

async function settled<T>(answer: Promise<T>, failure: string): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof LdapError)) throw error;
    const text = ldapResultText(error.code);
    throw new Refusal(error.code === null ? `${failure}: ${text} (${error.message})` : `${failure}: ${text}`);
  }
}

/** Bytes that are no UTF-8 are lone surrogates in texts from the wire. */
function isNotUnicode(text: string): boolean {
  return /[\ud800-\udfff]/u.test(text);
}

/** Escaped (RFC 4514, 2.4) where the prefix shows that it becomes a value in a distinguished name, and not "DOMAIN\user". */
function nameOf(user: string, { prefix, suffix }: SimpleBind): string {
  const isValue = /(?:^|[,+;])\s*[A-Za-z0-9][A-Za-z0-9.-]*\s*=\s*$/.test(prefix);
  return `${prefix}${isValue ? escapeValue(user) : user}${suffix}`;
}

function escapeValue(value: string): string {
  return value.replace(/[\\,+"<>;=]|^[ #]| $/g, "\\$&");
}

/** `host`, `host:port`, `[address]`, `[address]:port`, or an IPv6 address as it is. */
function serverOf(text: string, port: number): LdapServer {
  const found = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d{1,5}))?$/.exec(text);
  if (found === null) return { host: text, port };
  return { host: (found[1] ?? found[2]) as string, port: found[3] === undefined ? port : Number(found[3]) };
}

/** ou=people,dc=example,dc=net → example.net: the last unbroken run of `dc`. "" if there is none. */
function domainOf(dn: string): string {
  const labels: string[] = [];
  for (const part of dn.split(/(?<!\\)[,;]/)) {
    const label = /^\s*dc\s*=\s*([^+]+?)\s*$/i.exec(part)?.[1];
    if (label === undefined) labels.length = 0;
    else labels.push(label);
  }
  return labels.join(".");
}
