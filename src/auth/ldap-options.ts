/**
 * The options of the `ldap` method, as `auth_ldap_options` or the rest of an HBA line gives them.
 *
 *   ldapserver="one two" ldapport=389, "ldapbasedn"="dc=example,dc=net" ldapurl="ldap://…"
 *
 * Pairs are separated by space or one comma; key and value may be quoted, with "" for a quote inside. A later option wins
 * over an earlier one, and `ldapurl` counts as several. Counterpart: `initialize_ldap_options` in PgBouncer's `ldapauth.c`.
 * Stricter than there: text that is no pair is refused instead of ending the list in silence, because what is behind it may
 * be `ldaptls=1`. A comment (`#`) may end the list, and an empty value means that the option is not set.
 *
 * Reasons name options and never quote what may be a piece of a password.
 */
import { Secret } from "../config/secret.ts";
import { LdapScope, parseLdapUrl } from "./ldap-url.ts";

export interface LdapOptions {
  /** Host names and addresses in the order in which they are tried; empty: the SRV records of `baseDn`'s domain. */
  readonly servers: readonly string[];
  /** The list as written, for log lines. */
  readonly serverText: string;
  readonly port: number;
  readonly scheme: "ldap" | "ldaps";
  readonly startTls: boolean;
  readonly mode: SimpleBind | SearchAndBind;
}

export interface SimpleBind {
  readonly kind: "simple";
  /** The name to bind as is prefix, user name, suffix. */
  readonly prefix: string;
  readonly suffix: string;
}

export interface SearchAndBind {
  readonly kind: "search";
  readonly baseDn: string;
  readonly scope: LdapScope;
  /** Who searches; "" = anonymous. */
  readonly bindDn: string;
  readonly bindPassword: Secret;
  /** With `$username` in it. */
  readonly filter: string;
}

export type LdapOptionsResult =
  | { readonly ok: true; readonly options: LdapOptions }
  | { readonly ok: false; readonly reason: string };

const textKeys = [
  "ldapserver",
  "ldapbinddn",
  "ldapbindpasswd",
  "ldapsearchattribute",
  "ldapsearchfilter",
  "ldapbasedn",
  "ldapprefix",
  "ldapsuffix",
] as const;
type TextKey = (typeof textKeys)[number];

const passwordKey = "ldapbindpasswd";

/** What has been read so far. */
class Draft {
  readonly texts = new Map<TextKey, string>();
  scheme: "ldap" | "ldaps" = "ldap";
  /** 0: the scheme's. */
  port = 0;
  startTls = false;
  scope: LdapScope = LdapScope.subtree;

  /** Null, or why the option is refused. */
  set(key: string, value: string): string | null {
    if (isTextKey(key)) {
      if (value === "") this.texts.delete(key);
      else this.texts.set(key, value);
      return null;
    }
    switch (key) {
      case "ldaptls":
        this.startTls = value === "1";
        return null;
      case "ldapscheme":
        if (value !== "ldap" && value !== "ldaps") return `invalid ldapscheme value: "${value}"`;
        this.scheme = value;
        return null;
      case "ldapport":
        this.port = /^\d{1,5}$/.test(value) ? Number(value) : 0;
        return this.port >= 1 && this.port <= 65_535 ? null : `invalid LDAP port number: "${value}"`;
      case "ldapurl":
        return this.#setUrl(value);
      default:
        return `invalid LDAP option: "${key}"`;
    }
  }

  #setUrl(text: string): string | null {
    const parsed = parseLdapUrl(text);
    if (!parsed.ok) return parsed.reason;
    const { url } = parsed;
    this.scheme = url.scheme;
    this.port = url.port;
    this.scope = url.scope;
    if (url.host !== null) this.texts.set("ldapserver", url.host);
    if (url.dn !== null) this.texts.set("ldapbasedn", url.dn);
    if (url.attribute !== null) this.texts.set("ldapsearchattribute", url.attribute);
    if (url.filter !== null) this.texts.set("ldapsearchfilter", url.filter);
    return null;
  }
}

/** `text` in the syntax above. Never throws; `reason` is for the log. */
export function parseLdapOptions(text: string): LdapOptionsResult {
  const draft = new Draft();
  let previous: string | null = null;
  let at = skipSeparator(text, 0);
  while (at < text.length && text[at] !== "#") {
    const pair = readPair(text, at);
    const behind = previous === null ? "at their beginning" : `after "${previous}"`;
    if (pair === null) return refuse(`LDAP options are not key=value ${behind}`);
    // What follows an unquoted password with a space in it is a piece of the password.
    if (!/^ldap[a-z]*$/.test(pair.key) || (previous === passwordKey && !isKnown(pair.key))) {
      return refuse(`invalid LDAP option ${behind}`);
    }
    const reason = draft.set(pair.key, pair.value);
    if (reason !== null) return refuse(reason);
    previous = pair.key;
    at = skipSeparator(text, pair.end);
  }
  return assemble(draft);
}

function assemble(draft: Draft): LdapOptionsResult {
  const { texts, scheme, startTls, scope } = draft;
  const prefix = texts.get("ldapprefix");
  const suffix = texts.get("ldapsuffix");
  const baseDn = texts.get("ldapbasedn");
  const attribute = texts.get("ldapsearchattribute");
  const filter = texts.get("ldapsearchfilter");
  const isSimple = prefix !== undefined || suffix !== undefined;
  const searches: readonly TextKey[] = ["ldapbasedn", "ldapbinddn", passwordKey, "ldapsearchattribute"];
  if (isSimple && (filter !== undefined || searches.some((key) => texts.has(key)))) {
    return refuse("cannot mix options for simple bind and search+bind modes");
  }
  if (!isSimple && baseDn === undefined) {
    return refuse(
      'authentication method "ldap" requires argument "ldapbasedn", "ldapprefix", or "ldapsuffix" to be set',
    );
  }
  if (attribute !== undefined && filter !== undefined) {
    return refuse("cannot use ldapsearchattribute together with ldapsearchfilter");
  }
  const serverText = texts.get("ldapserver") ?? "";
  if (serverText === "" && (baseDn ?? "") === "") return refuse("LDAP server not specified, and no ldapbasedn");
  return {
    ok: true,
    options: {
      servers: serverText.split(" ").filter((server) => server !== ""),
      serverText,
      port: draft.port === 0 ? (scheme === "ldaps" ? 636 : 389) : draft.port,
      scheme,
      startTls,
      mode: isSimple
        ? { kind: "simple", prefix: prefix ?? "", suffix: suffix ?? "" }
        : {
            kind: "search",
            baseDn: baseDn ?? "",
            scope,
            bindDn: texts.get("ldapbinddn") ?? "",
            bindPassword: new Secret(texts.get(passwordKey) ?? ""),
            filter: filter ?? `(${attribute ?? "uid"}=$username)`,
          },
    },
  };
}

function refuse(reason: string): LdapOptionsResult {
  return { ok: false, reason };
}

function isTextKey(key: string): key is TextKey {
  return (textKeys as readonly string[]).includes(key);
}

function isKnown(key: string): boolean {
  return isTextKey(key) || ["ldaptls", "ldapscheme", "ldapport", "ldapurl"].includes(key);
}

/** White space, and one comma somewhere in it. */
function skipSeparator(text: string, from: number): number {
  return from + (/^\s*,?\s*/.exec(text.slice(from)) as RegExpExecArray)[0].length;
}

interface Pair {
  readonly key: string;
  readonly value: string;
  readonly end: number;
}

/** The pair that begins at `from`; null if none does. */
function readPair(text: string, from: number): Pair | null {
  const key = text[from] === '"' ? readQuoted(text, from) : readUntil(text, from, /=/);
  if (key === null || text[key.end] !== "=" || key.text === "") return null;
  const at = key.end + 1;
  // A space behind "=" is more likely a slip than an empty value; an empty value is written "".
  if (at === text.length || /[\s,]/.test(text[at] as string)) return null;
  const value = text[at] === '"' ? readQuoted(text, at) : readUntil(text, at, /[\s,]/);
  return value === null ? null : { key: key.text, value: value.text, end: value.end };
}

interface Piece {
  readonly text: string;
  /** Where the text behind it begins. */
  readonly end: number;
}

function readUntil(text: string, from: number, stop: RegExp): Piece {
  const length = text.slice(from).search(stop);
  const end = length < 0 ? text.length : from + length;
  return { text: text.slice(from, end), end };
}

/** Null when the closing quote is missing. */
function readQuoted(text: string, from: number): Piece | null {
  const found = /^"((?:[^"]|"")*)"/.exec(text.slice(from));
  return found === null ? null : { text: (found[1] as string).replaceAll('""', '"'), end: from + found[0].length };
}
