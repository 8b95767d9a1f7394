/**
 * LDAP URLs (RFC 4516) as `ldapurl` takes them: where, what to search, how deep, and with which filter.
 *
 *   ldap[s]://host[:port][/dn[?attributes[?scope[?filter[?extensions]]]]]
 *
 * What is left out gets libldap's defaults, which PgBouncer relies on: the scheme's port, and the scope `base`. The library's
 * `URL` class is no use: it takes "?" for the query's end and knows nothing of the parts behind.
 */

/** How deep a search goes, in the words of the LDAP library. */
export const LdapScope = { base: "base", one: "one", subtree: "sub", children: "children" } as const;
export type LdapScope = (typeof LdapScope)[keyof typeof LdapScope];

export interface LdapUrl {
  readonly scheme: "ldap" | "ldaps";
  /** May be a list with spaces (%20); an IPv6 address without its brackets. Null: none named. */
  readonly host: string | null;
  readonly port: number;
  readonly dn: string | null;
  /** The first one named; the others have no use. */
  readonly attribute: string | null;
  readonly scope: LdapScope;
  readonly filter: string | null;
}

export type LdapUrlResult =
  | { readonly ok: true; readonly url: LdapUrl }
  | { readonly ok: false; readonly reason: string };

const scopes: ReadonlyMap<string, LdapScope> = new Map([
  ["", LdapScope.base],
  ["base", LdapScope.base],
  ["one", LdapScope.one],
  ["onelevel", LdapScope.one],
  ["sub", LdapScope.subtree],
  ["subtree", LdapScope.subtree],
  ["children", LdapScope.children],
  ["subordinate", LdapScope.children],
]);

/** scheme, host in brackets or host, port, dn with its slash, and what is behind the first question mark. */
const form = /^([a-z][a-z0-9+.-]*):\/\/(?:\[([^\]]*)\]|([^/?:]*))(?::([^/?]*))?(?:\/([^?]*))?(?:\?(.*))?$/i;

export function parseLdapUrl(text: string): LdapUrlResult {
  const refuse = (why: string): LdapUrlResult => ({ ok: false, reason: `could not parse LDAP URL "${text}": ${why}` });
  const found = form.exec(text);
  if (found === null) return refuse("not of the form ldap://host:port/dn?attribute?scope?filter");
  const [, schemeText = "", ipv6, name, portText, dnText, rest] = found;
  const scheme = schemeText.toLowerCase();
  if (scheme !== "ldap" && scheme !== "ldaps") return { ok: false, reason: `unsupported LDAP URL scheme: ${scheme}` };
  const port = portText === undefined ? (scheme === "ldaps" ? 636 : 389) : portOf(portText);
  if (port === null) return refuse("the port is not a number from 1 to 65535");
  const parts = rest?.split("?") ?? [];
  if (parts.length > 4) return refuse("too many question marks");
  const [attributes = "", scopeText = "", filterText = "", extensions = ""] = parts;
  const scope = scopes.get(scopeText.toLowerCase());
  if (scope === undefined) return refuse(`unknown scope "${scopeText}"`);
  // An extension may be marked as one without which the URL means something else; none is known here.
  if (extensions.split(",").some((extension) => extension.startsWith("!"))) return refuse("unknown critical extension");
  const host = ipv6 ?? decode(name ?? "");
  const dn = dnText === undefined ? null : decode(dnText);
  const filter = decode(filterText);
  if (host === null || filter === null || (dnText !== undefined && dn === null)) {
    return refuse("a percent sign is not followed by two hexadecimal digits that make UTF-8");
  }
  const attribute = attributes.split(",").find((part) => part !== "") ?? null;
  return {
    ok: true,
    url: { scheme, host: host === "" ? null : host, port, dn, attribute, scope, filter: filter === "" ? null : filter },
  };
}

function portOf(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : null;
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    // URIError is the only way in which the decoder says that the escapes are wrong; the caller says it in words.
    return null;
  }
}
