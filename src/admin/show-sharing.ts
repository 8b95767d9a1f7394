/**
 * SHOW SHARING and SHOW SHARED_STATEMENTS: what the servers of each pool are shared for, and why not. PgBouncer has no such commands.
 *
 * They only look: nothing is read from a database's catalogue because somebody watches.
 */
import { serverLifetimeMs } from "../config/precedence.ts";
import type { SharingCounters } from "../metrics/sharing-counters.ts";
import { ServerState } from "../pool/server-state.ts";
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ServerPool } from "../session/server-pool.ts";
import type { CatalogueFacts } from "../sharing/catalogue-facts.ts";
import type { StatementRecord } from "../sharing/statement-record.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { byText, poolsInOrder } from "./residents-in-order.ts";
import { int8Column, textColumn } from "./result-table.ts";
import type { CellValue } from "./result-table.ts";

/** Characters of a statement that are shown. */
const STATEMENT_LENGTH_MAX = 200;

export const showSharingCommand: ConsoleCommand = {
  name: "SHOW SHARING",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("database"), textColumn("user"), textColumn("event"), textColumn("reason"), int8Column("count")],
  doc:
    "How statements of each pool share servers, one figure a row. `state`: the servers that are shared now; `reason` is `on`, or why " +
    "nothing shares. All others count since the pool is there: `ride`, statements sent to a shared server, the first there or behind " +
    "others; `trial`, those that ran alone to show how long they take; `move`, those that were taken back and sent elsewhere; `seal`, " +
    "shared servers that were given no more; `refused`, statements that had to wait and could not share. What has not happened yet " +
    "has no row in the last three. See [sharing](sharing.md).",
  run: (call) => {
    for (const pool of poolsInOrder(call.pooler)) {
      for (const figure of figuresOf(pool)) call.row([pool.database.name, pool.user.name, ...figure]);
    }
    call.done("SHOW");
  },
};

type Figure = readonly [event: string, reason: string, count: number];

function figuresOf(pool: ServerPool): Figure[] {
  const { counters } = pool.sharing;
  const { offBecause } = verdictOf(pool);
  return [
    ["state", offBecause ?? "on", pool.core.servers.count(ServerState.shared)],
    ["ride", "first", counters.rides - counters.behindOthers],
    ["ride", "behind others", counters.behindOthers],
    ["trial", "", counters.trials],
    ...byReason("move", counters.moves),
    ...byReason("seal", counters.seals),
    ...byReason("refused", counters.refusals),
  ];
}

/** In the order of the reasons, so that a row stays where it is while its figure grows. */
function byReason(event: string, figures: SharingCounters["moves"]): Figure[] {
  return [...figures].sort(([a], [b]) => byText(a, b)).map(([reason, count]) => [event, reason, count]);
}

export const showSharedStatementsCommand: ConsoleCommand = {
  name: "SHOW SHARED_STATEMENTS",
  argument: "",
  level: ConsoleLevel.admin,
  columns: [
    textColumn("database"),
    textColumn("user"),
    textColumn("statement"),
    textColumn("may_share"),
    textColumn("reason"),
    int8Column("runs"),
    int8Column("mean_us"),
    textColumn("short"),
  ],
  doc:
    "The statements that are known to each pool because they had to wait for a server, those that ran most often first: the text without " +
    "its constants, cut at 200 characters; whether it may share, or the `reason` why not; how often it was measured and its mean time in " +
    "microseconds; whether it counts as short. For admins only, as texts may tell what others should not know.",
  run: (call) => {
    for (const pool of poolsInOrder(call.pooler)) {
      const verdict = verdictOf(pool);
      const records = [...pool.sharing.book].sort((a, b) => b.runCount - a.runCount || byText(a.text, b.text));
      for (const record of records) call.row(statementRow(pool, verdict, record));
    }
    call.done("SHOW");
  },
};

function statementRow(pool: ServerPool, { offBecause, facts }: Verdict, record: StatementRecord): CellValue[] {
  const reason = offBecause ?? (facts === null ? null : record.refusal(facts));
  return [
    pool.database.name,
    pool.user.name,
    record.text.slice(0, STATEMENT_LENGTH_MAX),
    yesOrNo(reason === null),
    reason ?? "",
    record.runCount,
    Math.round(record.meanMs * 1000),
    yesOrNo(pool.sharing.isShort(record)),
  ];
}

function yesOrNo(value: boolean): string {
  return value ? "yes" : "no";
}

/** About a pool as a whole. */
interface Verdict {
  /** Why nothing shares there; null if statements may. */
  readonly offBecause: string | null;
  /** Null while the catalogue is not known. */
  readonly facts: CatalogueFacts | null;
}

function verdictOf(pool: ServerPool): Verdict {
  const { database, engine, sharing } = pool;
  const facts = database.catalogue.peek(pool);
  if (sharing.offBecause !== "") return { offBecause: sharing.offBecause, facts };
  if (serverLifetimeMs(engine.settings, database.entry) === 0) return { offBecause: "server_lifetime = 0", facts };
  if (facts !== null) return { offBecause: facts.refusesAll, facts };
  const { failure } = database.catalogue;
  return {
    offBecause: failure === null ? "catalogue not read" : `catalogue cannot be read: ${failure}`,
    facts,
  };
}
