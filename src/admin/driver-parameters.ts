/**
 * Settings that drivers ask for or set without asking whether there is a need: a fixed answer for SHOW, and a SET that
 * changes nothing. For everybody on the console. Counterpart: `fake_show` and `fake_set` in PgBouncer's admin.c.
 */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { textColumn } from "./result-table.ts";

const DRIVER_PARAMETERS: readonly (readonly [name: string, value: string])[] = [
  ["client_encoding", "UTF-8"],
  ["default_transaction_isolation", "read committed"],
  ["standard_conforming_strings", "on"],
  ["datestyle", "ISO"],
  ["timezone", "GMT"],
];

export function isDriverParameter(name: string): boolean {
  const wanted = name.toLowerCase();
  return DRIVER_PARAMETERS.some(([known]) => known === wanted);
}

export const driverShowCommands: readonly ConsoleCommand[] = DRIVER_PARAMETERS.map(([name, value]) => ({
  name: `SHOW ${name}`,
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn(name)],
  doc: "A fixed answer for drivers that ask.",
  run: (call) => {
    call.row([value]);
    call.done("SHOW");
  },
}));

export const driverSetCommand: ConsoleCommand = {
  name: "SET",
  argument: "key = value",
  level: ConsoleLevel.stats,
  columns: [],
  doc: "Accepted and ignored, for drivers that set it.",
  run: (call) => {
    call.notice("SET ignored");
    call.done("SET");
  },
};
