/**
 * Prints the names for src/sharing/built-in-functions.ts, asked of one fresh cluster of each PostgreSQL version:
 *
 *     node scripts/print-built-in-functions.ts postgres://postgres@localhost:5413/postgres … > names.txt
 *
 * A name is printed as harmless if none of its functions in any of the versions is volatile, takes or returns what SQL
 * cannot hold (internal, cstring …), or is refused by name; machinery behind operators, types and aggregates, which nobody
 * calls, is left out. It is printed as hazardous if SQL can call it and one of its functions is volatile or it is refused.
 */
import { Client } from "pg";
import {
  functionQuery,
  isRefusedByName,
  viewQuery,
  type FunctionRow,
  type ViewRow,
} from "./built-in-functions-query.ts";

const LINE_LENGTH = 110;

const rows: FunctionRow[] = [];
const views: ViewRow[] = [];
for (const address of process.argv.slice(2)) {
  const client = new Client(address);
  await client.connect();
  rows.push(...(await client.query<FunctionRow>(functionQuery)).rows);
  views.push(...(await client.query<ViewRow>(viewQuery)).rows);
  await client.end();
}

const names = [...new Set(rows.map((row) => row.name))].toSorted();
const any = (name: string, is: (row: FunctionRow) => boolean): boolean =>
  rows.some((row) => row.name === name && is(row));
const isHazard = (name: string): boolean =>
  any(name, (row) => row.callable) && (any(name, (row) => row.volatile) || isRefusedByName(name));
// One of version 13's is volatile because it looks at the clock, and columns are called so.
const hazards = names.filter((name) => isHazard(name) && name !== "timezone");
const harmless = names.filter(
  (name) =>
    !any(name, (row) => row.volatile || row.internal) && any(name, (row) => !row.machinery) && !isRefusedByName(name),
);
const isShown = new Set(hazards);
// The rule behind `UPDATE pg_settings` calls it; reading does not.
isShown.delete("set_config");
const relations = [...new Set(views.filter((view) => isShown.has(view.function)).map((view) => view.view))].toSorted();

for (const [title, list] of Object.entries({ harmless, hazards, relations })) {
  console.log(`\n${title} (${list.length})`);
  console.log(wrap(list));
}

function wrap(list: readonly string[]): string {
  const lines = [""];
  for (const name of list) {
    const last = lines[lines.length - 1] as string;
    if (last !== "" && last.length + name.length >= LINE_LENGTH) lines.push(name);
    else lines[lines.length - 1] = last === "" ? name : `${last} ${name}`;
  }
  return lines.map((line) => `  ${line}`).join("\n");
}
