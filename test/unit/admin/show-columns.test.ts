/**
 * The columns of every SHOW, as PgBouncer 1.25 has them (with the columns of its development branch in STATS), and of our own: names,
 * order and types, written out. Dashboards, exporters and scripts read them by name and by position.
 */
import { afterAll, describe, expect, test } from "vitest";
import { COMMAND_TABLE, OWN_COMMANDS } from "../../../src/admin/command-table.ts";
import { query } from "../../support/wire-client.ts";
import { ConsoleHarness } from "./console-harness.ts";

const TYPE_LETTERS: Readonly<Record<number, string>> = { 25: "t", 23: "i", 20: "q", 1700: "n", 17: "b" };

const SOCKETS =
  "type t, user t, database t, replication t, state t, addr t, port i, local_addr t, local_port i, connect_time t, " +
  "request_time t, wait i, wait_us i, close_needed i, ptr t, link t, remote_pid i, tls t, application_name t, " +
  "prepared_statements i, id i";
const BUFFERS = "recv_pos i, pkt_pos i, pkt_remain i, send_pos i, send_remain i, pkt_avail i, send_avail i";

const EXPECTED: readonly (readonly [command: string, columns: string])[] = [
  ["SHOW CLIENTS", SOCKETS],
  ["SHOW SERVERS", SOCKETS],
  [
    "SHOW FDS",
    "fd i, task t, user t, database t, addr t, port i, cancel q, link i, client_encoding t, std_strings t, datestyle t, " +
      "timezone t, password t, scram_client_key b, scram_server_key b",
  ],
  ["SHOW SOCKETS", `${SOCKETS}, ${BUFFERS}`],
  ["SHOW ACTIVE_SOCKETS", `${SOCKETS}, ${BUFFERS}`],
  [
    "SHOW POOLS",
    "database t, user t, cl_active i, cl_waiting i, cl_active_cancel_req i, cl_waiting_cancel_req i, sv_active i, " +
      "sv_active_cancel i, sv_being_canceled i, sv_idle i, sv_used i, sv_tested i, sv_login i, maxwait i, maxwait_us i, " +
      "pool_mode t, load_balance_hosts t",
  ],
  ["SHOW PEER_POOLS", "peer_id i, cl_active_cancel_req i, cl_waiting_cancel_req i, sv_active_cancel i, sv_login i"],
  [
    "SHOW DATABASES",
    "name t, host t, port i, database t, force_user t, pool_size i, min_pool_size i, reserve_pool_size i, " +
      "server_lifetime i, pool_mode t, load_balance_hosts t, max_connections i, current_connections i, " +
      "max_client_connections i, current_client_connections i, paused i, disabled i",
  ],
  ["SHOW PEERS", "peer_id i, host t, port i, pool_size i"],
  [
    "SHOW USERS",
    "name t, pool_size t, reserve_pool_size t, pool_mode t, max_user_connections i, current_connections i, " +
      "max_user_client_connections i, current_client_connections i",
  ],
  ["SHOW LISTS", "list t, items i"],
  [
    "SHOW STATS",
    "database t, total_server_assignment_count n, total_xact_count n, total_query_count n, total_received n, " +
      "total_sent n, total_xact_time n, total_query_time n, total_wait_time n, total_client_parse_count n, " +
      "total_server_parse_count n, total_bind_count n, total_client_login_count n, avg_server_assignment_count n, " +
      "avg_xact_count n, avg_query_count n, avg_recv n, avg_sent n, avg_xact_time n, avg_query_time n, " +
      "avg_wait_time n, avg_client_parse_count n, avg_server_parse_count n, avg_bind_count n, avg_client_login_count n",
  ],
  [
    "SHOW STATS_TOTALS",
    "database t, server_assignment_count n, xact_count n, query_count n, bytes_received n, bytes_sent n, " +
      "xact_time n, query_time n, wait_time n, client_parse_count n, server_parse_count n, bind_count n, " +
      "client_login_count n",
  ],
  [
    "SHOW STATS_AVERAGES",
    "database t, server_assignment_count n, xact_count n, query_count n, bytes_received n, bytes_sent n, " +
      "xact_time n, query_time n, wait_time n, avg_client_parse_count n, avg_server_parse_count n, avg_bind_count n, " +
      "avg_client_login_count n",
  ],
  ["SHOW TOTALS", "name t, value n"],
  ["SHOW CONFIG", "key t, value t, default t, changeable t"],
  ["SHOW MEM", "name t, size i, used i, free i, memtotal i"],
  ["SHOW STATE", "key t, value t"],
  ["SHOW VERSION", "version t"],
  ["SHOW DNS_HOSTS", "hostname t, ttl q, addrs t"],
  ["SHOW DNS_ZONES", "zonename t, serial q, count i"],
  // Ours.
  ["SHOW SHARING", "database t, user t, event t, reason t, count q"],
  ["SHOW SHARED_STATEMENTS", "database t, user t, statement t, may_share t, reason t, runs q, mean_us q, short t"],
];

const harness = new ConsoleHarness();
const client = harness.connect();

afterAll(() => harness.pooler.end());

describe("columns on the wire", () => {
  test.each(EXPECTED)("%s", (command, expected) => {
    const result = client.run(command);
    expect(result.error).toBeNull();
    expect(result.tag).toBe("SHOW");
    const actual = result.columns?.map(({ name, oid }) => `${name} ${TYPE_LETTERS[oid] ?? oid}`).join(", ");
    expect(actual).toBe(expected);
    for (const row of result.rows) expect(row).toHaveLength(expected.split(",").length);
  });

  test("table 0, attribute 0, sizes of the types, typmod -1, text", () => {
    client.take();
    client.send(query("show dns_zones"));
    const [description] = client.take();
    const body = description!.body;
    const fields = ["zonename", "serial", "count"];
    const expected = [
      [25, -1],
      [20, 8],
      [23, 4],
    ];
    let at = 2;
    for (const [index, name] of fields.entries()) {
      at += name.length + 1;
      expect([body.readInt32BE(at), body.readInt16BE(at + 4)]).toEqual([0, 0]);
      expect([body.readInt32BE(at + 6), body.readInt16BE(at + 10)]).toEqual(expected[index]);
      expect([body.readInt32BE(at + 12), body.readInt16BE(at + 16)]).toEqual([-1, 0]);
      at += 18;
    }
    expect(at).toBe(body.length);
  });

  test("no SHOW of the table was forgotten here", () => {
    const listed = EXPECTED.map(([name]) => name);
    const shows = COMMAND_TABLE.map(({ name }) => name).filter((name) => name.startsWith("SHOW "));
    expect([...shows].sort()).toEqual([...listed, "SHOW HELP"].sort());
  });
});

describe("rows", () => {
  const byFirst = (command: string): Map<string | null, (string | null)[]> =>
    new Map(client.run(command).rows.map((row) => [row[0] ?? null, row]));

  test("SHOW DATABASES is in order of names, with what is in effect", () => {
    const { rows } = client.run("show databases");
    expect(rows.map(([name]) => name)).toEqual(["local", "many", "pgbouncer", "shop"]);
    const databases = byFirst("show databases");
    expect(databases.get("shop")).toEqual([
      "shop",
      "127.0.0.1",
      "5433",
      "shop_db",
      null,
      "7",
      "0",
      "2",
      "3600",
      null,
      null,
      "0",
      "0",
      "0",
      "0",
      "0",
      "0",
    ]);
    expect(databases.get("many")?.slice(1, 5)).toEqual(["a.example,b.example", "5432", "many", "forced"]);
    expect(databases.get("many")?.[10]).toBe("round-robin");
    expect(databases.get("local")?.[1]).toBeNull();
    expect(databases.get("pgbouncer")).toEqual([
      "pgbouncer",
      null,
      "6432",
      "pgbouncer",
      "pgbouncer",
      "2",
      "0",
      "0",
      "3600",
      "statement",
      null,
      "0",
      "0",
      "0",
      "1",
      "0",
      "0",
    ]);
  });

  test("SHOW USERS pads sizes and leaves unset ones empty", () => {
    const users = byFirst("show users");
    expect([...users.keys()]).toEqual(["forced", "limited", "pgbouncer", "plain"]);
    expect(users.get("limited")).toEqual(["limited", "        3", "        1", "session", "4", "0", "0", "0"]);
    expect(users.get("plain")).toEqual(["plain", "", "", null, "0", "0", "0", "0"]);
  });

  test("SHOW PEERS and PEER_POOLS are in order of ids", () => {
    expect(client.run("show peers").rows).toEqual([
      ["1", "127.0.0.1", "6432", "20"],
      ["2", "127.0.0.2", "6433", "5"],
    ]);
    // As with PgBouncer, a peer has no pool before something was to be passed on to it.
    expect(client.run("show peer_pools").rows).toEqual([]);
    for (const id of [2, 1]) client.harness.pooler.residents.peer(id);
    expect(client.run("show peer_pools").rows).toEqual([
      ["1", "0", "0", "0", "0"],
      ["2", "0", "0", "0", "0"],
    ]);
  });

  test("SHOW LISTS has PgBouncer's fourteen, with the console among what it counts", () => {
    const lists = client.run("show lists").rows;
    expect(lists.map(([name]) => name)).toEqual([
      "databases",
      "users",
      "peers",
      "pools",
      "peer_pools",
      "free_clients",
      "used_clients",
      "login_clients",
      "free_servers",
      "used_servers",
      "dns_names",
      "dns_zones",
      "dns_queries",
      "dns_pending",
    ]);
    const counts = Object.fromEntries(lists);
    expect(counts).toMatchObject({ databases: "4", users: "4", peers: "2", used_clients: "1", login_clients: "0" });
  });

  test("SHOW TOTALS has twelve totals and twelve averages", () => {
    const names = client.run("show totals").rows.map(([name]) => name);
    const expected = [
      "server_assignment_count",
      "xact_count",
      "query_count",
      "client_bytes",
      "server_bytes",
      "xact_time",
      "query_time",
      "wait_time",
      "ps_client_parse_count",
      "ps_server_parse_count",
      "ps_bind_count",
      "client_login_count",
    ];
    expect(names).toEqual([...expected.map((name) => `total_${name}`), ...expected.map((name) => `avg_${name}`)]);
  });

  test("SHOW CONFIG prints each setting once, in PgBouncer's order", () => {
    const rows = client.run("show config").rows;
    expect(rows.length).toBe(109);
    expect(rows[0]?.[0]).toBe("admin_users");
    // Ours come behind PgBouncer's.
    const own = rows.findIndex(([key]) => key === "disconnected_query_timeout");
    expect(rows[own - 3]).toEqual(["verbose", "0", null, "yes"]);
    expect(rows[own - 2]).toEqual(["anonymous_statements", "0", "0", "yes"]);
    expect(rows[own - 1]).toEqual(["deferred_begin", "0", "0", "yes"]);
    expect(rows[own]).toEqual(["disconnected_query_timeout", "60", "60", "yes"]);
    expect(rows.slice(own + 1).map(([key]) => key)).toContain("sharing");
    expect(rows.find(([key]) => key === "pool_mode")).toEqual(["pool_mode", "transaction", "session", "yes"]);
    expect(rows.find(([key]) => key === "unix_socket_mode")).toEqual(["unix_socket_mode", "511", "0777", "no"]);
  });

  test("SHOW MEM names PgBouncer's caches", () => {
    const names = client.run("show mem").rows.map(([name]) => name);
    expect(names.slice(0, 12)).toEqual([
      "user_cache",
      "credentials_cache",
      "db_cache",
      "peer_cache",
      "peer_pool_cache",
      "pool_cache",
      "outstanding_request_cache",
      "server_cache",
      "client_cache",
      "iobuf_cache",
      "var_list_cache",
      "server_prepared_statement_cache",
    ]);
  });

  test("SHOW CLIENTS shows the console itself, idle", () => {
    const [row] = client.run("show clients").rows;
    expect(row?.slice(0, 9)).toEqual([
      "C",
      "tester",
      "pgbouncer",
      "none",
      "idle",
      "127.0.0.1",
      "5555",
      "127.0.0.1",
      "6432",
    ]);
    expect(row?.[9]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+$/);
    expect(row?.[14]).toBe(`0x${client.client.id.toString(16).padStart(12, "0")}`);
    expect(row?.[20]).toBe(String(client.client.id));
  });

  test("SHOW HELP is a notice and no rows", () => {
    const result = client.run("show help");
    expect(result.types).toBe("NCZ");
    expect(result.notices[0]).toMatchObject({ S: "NOTICE", C: "00000", M: "Console usage" });
    const detail = result.notices[0]?.["D"] ?? "";
    for (const line of detail.slice(1).split("\n")) expect(line).toMatch(/^\t\S/);
    for (const command of COMMAND_TABLE) {
      if (!OWN_COMMANDS.includes(command)) expect(detail).toContain(command.name.replace(/^SHOW /, ""));
    }
    for (const line of [
      "SHOW PEERS|PEER_POOLS",
      "SET key = arg",
      "DISABLE <db>",
      "SHUTDOWN",
      "KILL_CLIENT <client_id>",
    ]) {
      expect(detail.split("\n\t")).toContain(line);
    }
  });
});
