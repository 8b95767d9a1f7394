/** SHOW PEERS and SHOW PEER_POOLS: the other poolers of the group, and the cancel requests on their way to them. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { int4Column, textColumn } from "./result-table.ts";

export const showPeersCommand: ConsoleCommand = {
  name: "SHOW PEERS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [int4Column("peer_id"), textColumn("host"), int4Column("port"), int4Column("pool_size")],
  doc: "The entries of `[peers]`.",
  run: (call) => {
    const { settings, residents } = call.pooler;
    const { defaultPoolSize } = settings;
    for (const { id, host, port, poolSize } of residents.peers.entries) {
      call.row([id, host, port, poolSize ?? defaultPoolSize]);
    }
    call.done("SHOW");
  },
};

export const showPeerPoolsCommand: ConsoleCommand = {
  name: "SHOW PEER_POOLS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [
    int4Column("peer_id"),
    int4Column("cl_active_cancel_req"),
    int4Column("cl_waiting_cancel_req"),
    int4Column("sv_active_cancel"),
    int4Column("sv_login"),
  ],
  doc: "The cancel requests on their way to each peer. A peer has a row once a request was passed on to it.",
  run: (call) => {
    for (const { id, sent, waiting, connecting } of call.pooler.residents.peers.pools) {
      call.row([id, sent, waiting + connecting, sent, connecting]);
    }
    call.done("SHOW");
  },
};
