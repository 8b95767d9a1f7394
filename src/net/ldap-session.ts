/**
 * Talking to a directory over one connection: bind as somebody, find somebody's name.
 *
 * The messages are the library's (`ldapts`, loaded when the first directory is asked). It gets a socket that is open and,
 * where asked for, encrypted, and never a second one: by itself it would open a lost connection again, in clear.
 */
import { resolveSrv } from "node:dns/promises";
import type { Socket } from "node:net";
import type { Client as LdapClient } from "ldapts";
import { openLdapConnection } from "./ldap-connection.ts";
import type { LdapTarget } from "./ldap-connection.ts";

/** How long a server may take for an answer: it may ask another one, or a person. PgBouncer waits without end. */
const ANSWER_TIMEOUT_MS = 60_000;
/** More than one is too many, whatever their number. */
const ENTRIES_MAX = 2;

export interface LdapSearch {
  readonly baseDn: string;
  readonly scope: "base" | "one" | "sub" | "children";
  /** RFC 4515 */
  readonly filter: string;
}

/** All methods but `close` reject with LdapError. */
export interface LdapSession {
  /** A simple bind. An empty password would be anonymous, and count as success: callers see to it. */
  bind(dn: string, password: string): Promise<void>;
  /** The names of at most two entries; none for a base that does not exist. */
  search(what: LdapSearch): Promise<readonly string[]>;
  close(): Promise<void>;
}

export interface LdapServer {
  readonly host: string;
  readonly port: number;
}

/** The way to directories, for who asks them. */
export interface LdapNetwork {
  /** Rejects with the errors of `openLdapConnection`. */
  open(target: LdapTarget): Promise<LdapSession>;
  /** The servers that DNS names for a domain (SRV `_ldap._tcp`), best first; none when there are no such records. */
  serversOf(domain: string): Promise<readonly LdapServer[]>;
}

/** A server's refusal, or no usable answer. */
export class LdapError extends Error {
  override readonly name = "LdapError";
  /** The server's result code (RFC 4511, 4.1.9); null when there was no answer. */
  readonly code: number | null;

  constructor(code: number | null, message: string, cause: unknown) {
    super(message, { cause });
    this.code = code;
  }
}

const INVALID_DN = 34;
const FILTER_ERROR = 87;
const SASL_MECHANISMS: readonly string[] = ["EXTERNAL", "PLAIN", "DIGEST-MD5", "SCRAM-SHA-1"];

export const ldapNetwork: LdapNetwork = {
  open: async (target) => {
    // Loaded first: a server that waits for us would take the time for a time-out.
    const { Client } = await import("ldapts");
    return new Session(Client, await openLdapConnection(target));
  },
  serversOf,
};

async function serversOf(domain: string): Promise<readonly LdapServer[]> {
  try {
    const records = await resolveSrv(`_ldap._tcp.${domain}`);
    const best = records.toSorted((a, b) => a.priority - b.priority || b.weight - a.weight);
    return best.map(({ name, port }) => ({ host: name, port }));
  } catch {
    // The resolver's ways to say that there are none are many; all mean that no server is known.
    return [];
  }
}

class Session implements LdapSession {
  readonly #client: LdapClient;

  constructor(Client: typeof LdapClient, socket: Socket) {
    let unused: Socket | null = socket;
    this.#client = new Client({
      url: "ldap://directory",
      timeout: ANSWER_TIMEOUT_MS,
      createConnection: () => {
        if (unused === null) throw new Error("the connection was lost");
        const given = unused;
        unused = null;
        return given;
      },
    });
  }

  async bind(dn: string, password: string): Promise<void> {
    // The library takes these for what they are called, and not for names to bind as.
    if (SASL_MECHANISMS.includes(dn)) throw new LdapError(INVALID_DN, "not a distinguished name", null);
    await this.#settled(this.#client.bind(dn, password));
  }

  async search({ baseDn, scope, filter }: LdapSearch): Promise<readonly string[]> {
    try {
      const found = await this.#settled(
        this.#client.search(baseDn, {
          scope,
          filter: withoutBlanks(filter),
          attributes: ["1.1"],
          sizeLimit: ENTRIES_MAX,
        }),
      );
      return found.searchEntries.map((entry) => entry.dn);
    } catch (error) {
      const isFilter = error instanceof LdapError && error.code === null && this.#client.isConnected;
      throw isFilter ? new LdapError(FILTER_ERROR, error.message, error.cause) : error;
    }
  }

  async close(): Promise<void> {
    try {
      await this.#client.unbind();
    } catch {
      // It was gone already, which is what is wanted.
    }
  }

  async #settled<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      const { code, message } = error as Error & { code?: unknown };
      throw new LdapError(typeof code === "number" ? code : null, message, error);
    }
  }
}

/** Blanks between the parts of a filter, which people write and the library does not take. Values have no bare brackets. */
function withoutBlanks(filter: string): string {
  return filter
    .trim()
    .replace(/\)\s+(?=[()])/g, ")")
    .replace(/\(\s*([&|!])\s*(?=\()/g, "($1");
}
