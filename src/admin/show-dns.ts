/**
 * SHOW DNS_HOSTS and SHOW DNS_ZONES: what is remembered of name look-ups. Names are looked up for each connection and
 * nothing is remembered, so there are no rows.
 */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { int4Column, int8Column, textColumn } from "./result-table.ts";

export const showDnsHostsCommand: ConsoleCommand = {
  name: "SHOW DNS_HOSTS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("hostname"), int8Column("ttl"), textColumn("addrs")],
  doc: "Host names whose addresses are remembered.",
  run: (call) => call.done("SHOW"),
};

export const showDnsZonesCommand: ConsoleCommand = {
  name: "SHOW DNS_ZONES",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("zonename"), int8Column("serial"), int4Column("count")],
  doc: "DNS zones whose serial numbers are watched.",
  run: (call) => call.done("SHOW"),
};
