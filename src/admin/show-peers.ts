/** SHOW PEERS and SHOW PEER_POOLS: the other poolers of the group, as `[peers]` has them. */
import { ConsoleLevel } from "../pooler/console-level.ts";
import type { PeerEntry } from "../config/peer-entry.ts";
import type { ConsoleCall } from "./console-call.ts";
import type { ConsoleCommand } from "./console-command.ts";
import { int4Column, textColumn } from "./result-table.ts";

export const showPeersCommand: ConsoleCommand = {
  name: "SHOW PEERS",
  argument: "",
  level: ConsoleLevel.stats,
  columns: [int4Column("peer_id"), textColumn("host"), int4Column("port"), int4Column("pool_size")],
  doc: "The entries of `[peers]`.",
  run: (call) => {
    const { defaultPoolSize } = call.pooler.settings;
    for (const { id, host, port, poolSize } of peersInOrder(call)) {
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
  doc: "The cancel requests on their way to each peer.",
  run: (call) => {
    // Cancel requests are answered by this process alone so far: none is ever on its way to a peer.
    for (const { id } of peersInOrder(call)) call.row([id, 0, 0, 0, 0]);
    call.done("SHOW");
  },
};

function peersInOrder(call: ConsoleCall): PeerEntry[] {
  return [...call.pooler.configuration.peers.values()].sort((a, b) => a.id - b.id);
}
