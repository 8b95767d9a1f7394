/**
 * What kind of run a seed gives: how rough the network is, how the server and the clients behave, what the engine is
 * configured with, and what is going to fail.
 *
 * Half of the runs are calm: nothing fails but what clients bring on themselves, so nobody may notice anything. In the
 * other half servers die, logins fail and connections break, and only those may notice who had to do with it.
 */
import type { Action, ClientTemper } from "./client-temper.ts";
import { crowded } from "./crowd.ts";
import type { EngineKind, SimCommand, SimDatabase, SimPoolMode } from "./engine-under-test.ts";
import type { Random } from "./random.ts";
import type { BackendFate } from "./scripted-backend.ts";
import type { ServerTemper } from "./scripted-postgres.ts";
import type { NetworkTemper } from "./sim-network.ts";

export interface Scenario {
  readonly calm: boolean;
  readonly network: NetworkTemper;
  readonly turnMaxMs: number;
  readonly server: ServerTemper;
  readonly clients: ClientTemper;
  readonly databases: readonly SimDatabase[];
  readonly users: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
  /** Clients in all, and how many of them at once. */
  readonly clientsTotal: number;
  readonly clientsAtOnce: number;
  /** How many of them ask for settings that others have not: a name, another DateStyle. */
  readonly nameChance: number;
  readonly styleChance: number;
  /** How many of them ask for replication, and so for a server of their own. */
  readonly replicationChance: number;
  /** The server's host is configured by name, and the name moves from address to address; null: by address. */
  readonly hostName: HostName | null;
  /** Moments at which the server cannot be reached for a while, and at which a connection of the engine breaks. */
  readonly outages: readonly { readonly atMs: number; readonly forMs: number; readonly how: "refused" | "hanging" }[];
  readonly breaks: readonly number[];
  /** What an operator commands, and after how long it is taken back. One at a time. */
  readonly commands: readonly { readonly atMs: number; readonly forMs: number; readonly command: SimCommand }[];
  /** Servers allowed beyond the pool size. */
  readonly reserve: number;
  /** Servers of one database, all users; 0 = no limit. */
  readonly databaseMax: number;
  /** Time-outs of the configuration may close clients with these texts. */
  readonly allowedErrors: readonly string[];
}

export interface HostName {
  /** At most this many of the server's addresses belong to the name at a time. */
  readonly addressesMax: number;
  /** Moments at which it gets other addresses. */
  readonly moves: readonly number[];
  /** When nobody knows it for a while. */
  readonly losses: readonly { readonly atMs: number; readonly forMs: number }[];
  readonly settings: Readonly<Record<string, string>>;
}

export function drawScenario(random: Random, kind: EngineKind): Scenario {
  const calm = random.chance(0.5);
  // Much data, or windows so small that every message is held in parts; both together would take for ever.
  const large = random.chance(0.08);
  const tiny = !large && random.chance(0.3);
  // Who does not keep up: the client that reads, or the server that is written to.
  const slowServer = large && random.chance(0.5);
  const users = random.chance(0.3) ? ["alice", "bob"] : ["alice"];
  const modes: readonly SimPoolMode[] = kind.pools
    ? ["transaction", "transaction", "transaction", "session", "statement"]
    : ["session"];
  const count = random.chance(0.25) ? 2 : 1;
  const databases = Array.from({ length: count }, (_, at) => ({
    name: `db${at}`,
    poolMode: random.pick(modes),
    poolSize: random.between(1, 4),
  }));
  const blocks = databases.every((database) => database.poolMode !== "statement");
  const fates: readonly BackendFate["how"][] = kind.judgesMessages
    ? ["fatal", "crash", "reset", "nonsense"]
    : ["fatal", "crash", "reset"];
  const timeouts = kind.pools ? drawTimeouts(random) : new Map<string, readonly string[]>();
  const reserve = kind.pools && random.chance(0.2) ? 1 : 0;
  const databaseMax = kind.pools && random.chance(0.25) ? random.between(1, 4) : 0;
  const clientsTotal = random.between(1, large ? 4 : 14);
  const scenario: Omit<Scenario, "hostName" | "replicationChance"> = {
    calm,
    network: {
      latencyMaxMs: random.pick(tiny ? [0.1, 1, 5] : [0.1, 1, 5, 30]),
      cutChance: random.pick([0, 0.1, 0.5, 0.95]),
      partialWriteChance: random.pick([0, 0.1, 0.5]),
      windowsBytes: tiny
        ? random.pick([[64, 1000, 16_384], [100]])
        : random.pick([[large ? 16_384 : 65_536], [262_144, 16_384], [262_144, 16_384]]),
    },
    turnMaxMs: random.pick([0, 0.5, 2]),
    server: {
      thinkingChance: slowServer ? 0.8 : random.pick([0, 0.2, 0.8]),
      thinkingMaxMs: slowServer ? 10 : random.pick([1, 10]),
      noiseChance: random.pick([0, 0, 0.01, 0.1]),
      beginRefusedChance: 0,
      deathChance: calm ? 0 : random.pick([0, 0.2, 0.7]),
      fates,
      fateBytesMax: 6000,
      loginFates: calm
        ? { welcome: 9, slow: 1 }
        : { welcome: 12, slow: 2, refused: 1, dropped: 1, hanging: kind.pools ? 0.5 : 0 },
    },
    clients: drawClients(random, kind, blocks, large, slowServer, timeouts.size > 0),
    databases,
    users,
    settings: {
      ...(calm ? {} : { server_login_retry: "0.5", server_connect_timeout: "2" }),
      ...Object.fromEntries([...timeouts.keys()].map((name) => [name, "1"])),
      ...(reserve > 0 ? { reserve_pool_size: String(reserve), reserve_pool_timeout: "0.2" } : {}),
      ...(databaseMax > 0 ? { max_db_connections: String(databaseMax) } : {}),
      ...(random.chance(0.2) ? { min_pool_size: "1" } : {}),
      ...(random.chance(0.2) ? { server_round_robin: "1" } : {}),
      ...(random.chance(0.15) ? { server_reset_query_always: "1" } : {}),
      ...drawSharing(random),
      ...(random.chance(0.2) ? { server_lifetime: "1" } : {}),
      ...(random.chance(0.2) ? { server_idle_timeout: "1" } : {}),
      ...(random.chance(0.2) ? { server_check_delay: "0" } : {}),
      ...(random.chance(0.2) ? { max_prepared_statements: "2" } : {}),
    },
    clientsTotal,
    nameChance: 0.4,
    styleChance: 0.2,
    clientsAtOnce: random.between(1, Math.min(8, clientsTotal)),
    outages:
      calm || random.chance(0.6)
        ? []
        : [
            {
              atMs: random.skewed(1, 500),
              forMs: random.skewed(1, 3000),
              how: kind.pools && random.chance(0.3) ? "hanging" : "refused",
            },
          ],
    breaks: calm ? [] : Array.from({ length: random.below(3) }, () => random.skewed(1, 800)),
    commands: drawCommands(random, kind),
    reserve,
    databaseMax,
    allowedErrors: [...timeouts.values()].flat(),
  };
  const hostName = kind.pools && random.chance(0.4) ? drawHostName(random, calm) : null;
  const replicationChance = kind.pools ? random.pick([0.3, 0, 0, 0, 0]) : 0;
  const deferral = kind.pools ? drawDeferral(random) : {};
  const repeats = kind.pools && random.chance(0.3);
  const settings = {
    ...scenario.settings,
    ...hostName?.settings,
    ...deferral,
    ...(repeats ? { anonymous_statements: "1" } : {}),
  };
  // What a setting is about is done often then, by clients that do not take for ever.
  const defers = blocks && "deferred_begin" in deferral;
  const actions = {
    ...scenario.clients.actions,
    ...(repeats ? { extended: 40 } : {}),
    ...(defers ? { block: random.pick([8, 40]) } : {}),
  };
  const actionsMax = defers ? Math.min(scenario.clients.actionsMax, 6) : scenario.clients.actionsMax;
  const clients = { ...scenario.clients, actions, actionsMax, repeats };
  const server = { ...scenario.server, beginRefusedChance: defers ? random.pick([0, 0.1]) : 0 };
  const drawn = { ...scenario, clients, server, hostName, replicationChance, settings };
  return kind.pools && random.chance(0.4) ? crowded(random, drawn) : drawn;
}

/** A BEGIN waits for its first statement shorter or longer than clients think. */
function drawDeferral(random: Random): Record<string, string> {
  return random.chance(0.4) ? { deferred_begin: random.pick(["1", "10", "100", "2000"]) } : {};
}

/** Off now and then; else soon, so that the few statements of a run get to share. */
function drawSharing(random: Random): Readonly<Record<string, string>> {
  if (random.chance(0.15)) return { sharing: "0" };
  return {
    sharing_short_runs: random.pick(["0", "0", "1", "3"]),
    sharing_short_time: random.pick(["1", "10", "50", "300"]),
    sharing_depth: random.pick(["2", "4", "16"]),
    sharing_low_mark: random.pick(["0", "1", "4"]),
  };
}

/** Moves disturb nobody, calm or not; a name that is lost does. */
function drawHostName(random: Random, calm: boolean): HostName {
  return {
    addressesMax: random.between(1, 2),
    moves: Array.from({ length: random.below(6) }, () => random.skewed(1, 1500)),
    losses: calm || random.chance(0.6) ? [] : [{ atMs: random.skewed(1, 800), forMs: random.skewed(1, 1000) }],
    settings: {
      dns_max_ttl: random.pick(["0", "0.05", "0.3", "15"]),
      dns_nxdomain_ttl: random.pick(["0", "0.2"]),
      dns_zone_check_period: random.pick(["0", "0.2"]),
    },
  };
}

/** Time-outs that are set so low that they strike, and the texts they close clients with. */
function drawTimeouts(random: Random): Map<string, readonly string[]> {
  const all: readonly (readonly [string, readonly string[]])[] = [
    ["query_wait_timeout", ["query_wait_timeout"]],
    ["query_timeout", ["query timeout", "query_timeout"]],
    ["idle_transaction_timeout", ["idle transaction timeout"]],
    ["transaction_timeout", ["transaction timeout"]],
    ["client_idle_timeout", ["client_idle_timeout"]],
  ];
  return new Map(all.filter(() => random.chance(0.06)));
}

function drawCommands(random: Random, kind: EngineKind): Scenario["commands"] {
  if (!kind.pools || random.chance(0.75)) return [];
  const command = random.pick(["RECONNECT", "RECONNECT", "PAUSE", "SUSPEND"] as const);
  const count = command === "RECONNECT" ? random.between(1, 4) : 1;
  return Array.from({ length: count }, () => ({
    atMs: random.skewed(1, 1500),
    forMs: random.skewed(1, 2000),
    command,
  }));
}

function drawClients(
  random: Random,
  kind: EngineKind,
  blocks: boolean,
  large: boolean,
  slowServer: boolean,
  timeouts: boolean,
): ClientTemper {
  const weight = () => random.pick([0, 1, 1, 3]);
  const actions: Record<Action, number> = {
    simple: 1 + weight(),
    extended: weight(),
    prepared: weight() * 1.5,
    portal: weight(),
    pipeline: weight(),
    flush: weight(),
    block: blocks ? weight() : 0,
    copyIn: slowServer ? 12 : weight(),
    copyOut: weight(),
    functionCall: weight() / 3,
    setting: weight() / 2,
    discard: weight() / 3,
    create: weight() / 20,
    cancel: weight() / 2,
    slowRead: large && !slowServer ? 4 : weight() / 2,
    think: weight(),
  };
  // Half of the runs have a theme: something that is done again and again meets itself in all ways.
  const theme = random.pick([
    "prepared",
    "prepared",
    "cancel",
    "copyIn",
    "flush",
    "pipeline",
    "portal",
    "setting",
  ] as const);
  if (random.chance(0.5)) actions[theme] += 12;
  const rowsMax = large ? 300 : random.pick([3, 20, 40]);
  const thinkMaxMs = timeouts ? 2500 : large ? 300 : random.pick([1, 30, 300]);
  return {
    actionsMax: large ? 4 : random.pick([3, 8, 15]),
    actions,
    endings: {
      terminate: 4,
      abrupt: weight(),
      halfClose: weight() / 2,
      midMessage: weight(),
      malformed: kind.judgesMessages ? weight() / 2 : 0,
    },
    failChance: random.pick([0, 0.05, 0.3]),
    readChance: random.pick([0.2, 0.6, 1]),
    writeChance: 0.25,
    severalChance: 0.25,
    closeChance: 0.25,
    ownTextChance: 0.3,
    noticeChance: random.pick([0, 0.2]),
    thinkMaxMs,
    rowsMax,
    unreadRowsMax: rowsMax,
    unreadMaxMs: thinkMaxMs * 2,
    cancelMaxMs: 60,
    rowBytesMax: large ? 16_000 : random.pick([20, 100, 2000]),
    pauseMaxMs: random.pick([2, 30, 200]),
    dribbleChance: random.pick([0, 0.1, 0.6]),
    names: random.between(1, 4),
    blocks,
    repeats: false,
  };
}
