/** What a client means by `replication` in its startup packet. */
export const Replication = {
  no: "no",
  /** Logical replication: the connection has a database. */
  logical: "database",
  physical: "yes",
} as const;

/** In the words of the startup packet, and of the log. */
export type Replication = (typeof Replication)[keyof typeof Replication];

/** `value`: of the startup packet. */
export function replicationOf(value: string): Replication {
  if (value === "database") return Replication.logical;
  return ["true", "on", "yes", "1"].includes(value) ? Replication.physical : Replication.no;
}
