/** What a user of the console may do. */
export const ConsoleLevel = {
  /** `admin_users`: everything. */
  admin: "admin",
  /** `stats_users`: SHOW. */
  stats: "stats",
} as const;
export type ConsoleLevel = (typeof ConsoleLevel)[keyof typeof ConsoleLevel];
