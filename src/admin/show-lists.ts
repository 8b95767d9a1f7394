/** SHOW LISTS: how many there are of everything. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import { loginClients } from "./socket-lists.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { poolsInOrder } from "./residents-in-order.ts";
import { int4Column, textColumn } from "./result-table.ts";
import { userNames } from "./show-users.ts";

export const showListsCommand: ConsoleCommand = {
  name: "SHOW LISTS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [textColumn("list"), int4Column("items")],
  doc: "How many databases, users, pools, clients and servers there are. The console counts as a database, a user and a pool.",
  run: (call) => {
    const { pooler } = call;
    const { residents } = pooler;
    const lists: readonly (readonly [name: string, items: number])[] = [
      ["databases", residents.databases.size + 1],
      ["users", userNames(call).length],
      ["peers", residents.peers.size],
      ["pools", poolsInOrder(pooler).length + 1],
      ["peer_pools", residents.peers.pools.length],
      // Objects are not kept for later use here.
      ["free_clients", 0],
      ["used_clients", residents.clients.size],
      ["login_clients", loginClients(pooler).length],
      ["free_servers", 0],
      ["used_servers", residents.servers.size],
      ["dns_names", pooler.names.cache.size],
      ["dns_zones", pooler.names.zones.size],
      ["dns_queries", pooler.names.running],
      ["dns_pending", 0],
    ];
    for (const list of lists) call.row(list);
    call.done("SHOW");
  },
};
