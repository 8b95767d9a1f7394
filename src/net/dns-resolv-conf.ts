/**
 * A file in the format of resolv.conf(5): which name servers to ask, and how.
 *
 * Lines that are not known are no error, as for every resolver (`sortlist`, options of other systems). What is known and
 * cannot be used is one: whoever names a file of his own wants to hear of it. Parsing only; `dns-name-servers.ts` asks.
 */
import { isIP } from "node:net";

export interface ResolvConf {
  /** At least one, in the order of the file: an IP address, also as `address:port` or `[address]:port`. */
  readonly servers: readonly string[];
  /** Domains to be tried behind a name, in order. */
  readonly search: readonly string[];
  /** A name with this many dots is tried as it is first, and with the domains behind it after that. */
  readonly ndots: number;
  /** How long one name server is waited for in the first round. */
  readonly timeoutMs: number;
  /** Rounds through all name servers. */
  readonly attempts: number;
  /** Every look-up begins with another name server. */
  readonly rotate: boolean;
}

export interface ResolvConfProblem {
  /** From 1; 0 when the whole file is meant. */
  readonly line: number;
  readonly message: string;
}

/** Of the C library: what stands above counts as this. */
const NDOTS_MAX = 15;
const TIMEOUT_MAX_S = 30;
const ATTEMPTS_MAX = 5;

/** The contents of such a file. `conf` can be used where there are no problems; all problems are reported. */
export function parseResolvConf(text: string): { conf: ResolvConf; problems: readonly ResolvConfProblem[] } {
  const problems: ResolvConfProblem[] = [];
  const servers: string[] = [];
  const numbers = { ndots: 1, timeout: 5, attempts: 2 };
  let search: readonly string[] = [];
  let rotate = false;
  for (const [index, raw] of text.split("\n").entries()) {
    const [keyword = "", ...values] = raw
      .replace(/[#;].*/, "")
      .trim()
      .split(/\s+/);
    const complain = (message: string): unknown => problems.push({ line: index + 1, message });
    switch (keyword) {
      case "nameserver":
        if (isServer(values[0] ?? "")) servers.push(values[0] as string);
        else complain(`invalid nameserver "${values[0] ?? ""}"`);
        break;
      case "domain":
        search = values.slice(0, 1);
        break;
      case "search":
        search = values;
        break;
      case "options":
        for (const option of values) {
          if (option === "rotate") rotate = true;
          const [name = "", value = ""] = option.split(":");
          if (!(name in numbers)) continue;
          if (/^\d+$/.test(value)) numbers[name as keyof typeof numbers] = Number(value);
          else complain(`invalid option "${option}"`);
        }
        break;
      default:
    }
  }
  if (servers.length === 0 && problems.length === 0) problems.push({ line: 0, message: "no nameserver" });
  const conf: ResolvConf = {
    servers,
    search: search.map((domain) => domain.replace(/^\.|\.$/g, "")).filter((domain) => domain !== ""),
    ndots: Math.min(numbers.ndots, NDOTS_MAX),
    timeoutMs: Math.min(Math.max(numbers.timeout, 1), TIMEOUT_MAX_S) * 1000,
    attempts: Math.min(Math.max(numbers.attempts, 1), ATTEMPTS_MAX),
    rotate,
  };
  return { conf, problems };
}

/** An address, or one with a port; IPv6 may have a zone behind a percent sign. */
function isServer(text: string): boolean {
  if (isIP(text) !== 0) return true;
  const withPort = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  if (withPort === null) return false;
  const [, six, four, port] = withPort;
  return isIP(six ?? four ?? "") === (six === undefined ? 4 : 6) && Number(port) > 0 && Number(port) < 65536;
}
