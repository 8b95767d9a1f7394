/** Settings about sharing: short reads of several clients that ride one server connection together. PgBouncer has none of them. */
import type { SettingRow } from "./setting-row.ts";

export const SHARING_SETTINGS = [
  {
    name: "sharing",
    // Behind all rows that PgBouncer has, like the others here.
    sortAs: "~sharing",
    type: "bool",
    default: "1",
    database: "sharing",
    user: "sharing",
    doc: "In transaction and statement mode, short reads that would have to wait for a server connection ride on one together. PgBouncer has no such setting.",
  },
  {
    name: "sharing_depth",
    sortAs: "~sharing_depth",
    type: "count",
    default: "16",
    max: 1000,
    doc: "How many statements may be under way on one shared server connection. Below 2 nothing is shared.",
  },
  {
    name: "sharing_low_mark",
    sortAs: "~sharing_low_mark",
    type: "count",
    default: "4",
    doc: "A shared server connection is given more statements when so many or fewer are left on it.",
  },
  {
    name: "sharing_short_time",
    sortAs: "~sharing_short_time",
    type: "milliseconds",
    default: "50",
    doc: "A statement is short if it is answered within this time, on average; so much work may be ahead of it on a shared connection. One that runs twice as long is left alone there. Milliseconds; the time that PostgreSQL waits for a processor counts.",
  },
  {
    name: "sharing_short_bytes",
    sortAs: "~sharing_short_bytes",
    type: "count",
    default: "16384",
    doc: "A statement is short if its answer is no longer than this, on average. Bytes.",
  },
  {
    name: "sharing_short_runs",
    sortAs: "~sharing_short_runs",
    type: "count",
    default: "3",
    doc: "How often a statement must have run before it shares.",
  },
] as const satisfies readonly SettingRow[];
