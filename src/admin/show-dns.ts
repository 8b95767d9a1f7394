/** SHOW DNS_HOSTS and SHOW DNS_ZONES: what is remembered of host names, and which zones are watched. */
import { isIpv6Address } from "../net/literal-address.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { int4Column, int8Column, textColumn } from "./result-table.ts";

export const showDnsHostsCommand: ConsoleCommand = {
  name: "SHOW DNS_HOSTS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("hostname"), int8Column("ttl"), textColumn("addrs")],
  doc: "Host names whose addresses are remembered, and for how many seconds they count still.",
  run: (call) => {
    for (const { name, addresses, ttlMs } of call.pooler.names.cache.names()) {
      call.row([name, Math.floor(ttlMs / 1000), addresses.map(withPort).join(",")]);
    }
    call.done("SHOW");
  },
};

export const showDnsZonesCommand: ConsoleCommand = {
  name: "SHOW DNS_ZONES",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("zonename"), int8Column("serial"), int4Column("count")],
  doc: "DNS zones of remembered host names: the serial number last seen, and how many of the names are in it.",
  run: (call) => {
    for (const { name, serial, hostCount } of call.pooler.names.zones.zones()) {
      call.row([name, serial, hostCount]);
    }
    call.done("SHOW");
  },
};

/** As PgBouncer prints an address that was asked for without a port. */
function withPort(address: string): string {
  return isIpv6Address(address) ? `[${address}]:0` : `${address}:0`;
}
