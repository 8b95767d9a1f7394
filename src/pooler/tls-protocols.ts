/**
 * `client_tls_protocols` and `server_tls_protocols`: a list of words as the versions of TLS that are offered.
 *
 *     secure                      1.2 and 1.3
 *     tlsv1.1, tlsv1.3            1.3: TLS libraries know ranges, and the one above the gap is the better
 *     !tlsv1.0:!tlsv1.1           all but these
 *
 * `,` or `:` between words, case does not count, `!` takes away (from all, when nothing was named before it). Counterpart:
 * libusual's `tls_config_parse_protocols`.
 */
import type { TlsSettings, TlsVersion } from "../net/transport.ts";

const VERSIONS: readonly TlsVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const SECURE: readonly TlsVersion[] = ["TLSv1.2", "TLSv1.3"];
const WORDS: ReadonlyMap<string, readonly TlsVersion[]> = new Map<string, readonly TlsVersion[]>([
  ["tlsv1.0", ["TLSv1"]],
  ["tlsv1.1", ["TLSv1.1"]],
  ["tlsv1.2", ["TLSv1.2"]],
  ["tlsv1.3", ["TLSv1.3"]],
  ["tlsv1", VERSIONS],
  ["all", VERSIONS],
  ["secure", SECURE],
  ["default", SECURE],
]);

/** The range of versions that `words` name; null when a word is unknown, or none is left. */
export function parseTlsProtocols(words: string): Pick<TlsSettings, "minVersion" | "maxVersion"> | null {
  const chosen = new Set<TlsVersion>();
  for (const part of words.toLowerCase().split(/[,:]/)) {
    const word = part.trim();
    const removes = word.startsWith("!");
    const versions = WORDS.get(removes ? word.slice(1) : word);
    if (versions === undefined) return null;
    if (removes && chosen.size === 0) for (const version of VERSIONS) chosen.add(version);
    for (const version of versions) {
      if (removes) chosen.delete(version);
      else chosen.add(version);
    }
  }
  const last = VERSIONS.findLastIndex((version) => chosen.has(version));
  let first = last;
  while (first > 0 && chosen.has(VERSIONS[first - 1] as TlsVersion)) first -= 1;
  const [minVersion, maxVersion] = [VERSIONS[first], VERSIONS[last]];
  return minVersion === undefined || maxVersion === undefined ? null : { minVersion, maxVersion };
}
