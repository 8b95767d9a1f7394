/** The command line of the soak. */
import { parseArgs } from "node:util";
import { operationFamilies } from "./operation-table.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly runtime: "node" | "bun";
  readonly seed: number;
  readonly clients: number;
  /** More settings of [pgbouncer]. */
  readonly settings: Readonly<Record<string, string>>;
  /** Families of operations; all when nothing is said. */
  readonly families: readonly string[];
  /** False: no faults but those that clients make. */
  readonly faults: boolean;
}

export const soakUsage = `usage: npm run soak -- [options]
  --minutes N        how long, 5 when nothing is said; 0.33 for a look
  --node | --bun     the runtime of the pooler (node)
  --seed N           the decisions of an earlier run, as far as real time allows
  --clients N        connections that work at once (300)
  --settings k=v,…   more settings of the pooler
  --only a,b         families of operations: ${Object.keys(operationFamilies).join(", ")}
  --calm             no restarts, no terminated backends, no console commands`;

const seedMax = 0x7fff_ffff;

/** Throws an Error with what is wrong. */
export function parseSoakOptions(args: readonly string[]): SoakOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string", default: "5" },
      node: { type: "boolean", default: false },
      bun: { type: "boolean", default: false },
      seed: { type: "string", default: String(Math.floor(Math.random() * seedMax)) },
      clients: { type: "string", default: "300" },
      settings: { type: "string", default: "" },
      only: { type: "string", default: Object.keys(operationFamilies).join(",") },
      calm: { type: "boolean", default: false },
    },
  });
  if (values.node && values.bun) throw new Error("either --node or --bun");
  const families = values.only.split(",");
  const unknown = families.find((name) => !Object.hasOwn(operationFamilies, name));
  if (unknown !== undefined) throw new Error(`no such family of operations: ${unknown}`);
  return {
    minutes: positive("--minutes", values.minutes),
    runtime: values.bun ? "bun" : "node",
    seed: positive("--seed", values.seed),
    clients: Math.ceil(positive("--clients", values.clients)),
    settings: parseSettings(values.settings),
    families,
    faults: !values.calm,
  };
}

function positive(name: string, text: string): number {
  const number = Number(text);
  if (number > 0) return number;
  throw new Error(`${name} must be a number above zero, not ${text}`);
}

function parseSettings(text: string): Record<string, string> {
  const settings: Record<string, string> = {};
  for (const pair of text.split(",")) {
    if (pair === "") continue;
    const at = pair.indexOf("=");
    if (at < 1) throw new Error(`--settings must be key=value pairs with commas between them, not ${pair}`);
    settings[pair.slice(0, at).trim()] = pair.slice(at + 1).trim();
  }
  return settings;
}
