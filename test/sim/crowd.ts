/**
 * A run in which many clients read on few servers, so that their statements share: what is different in it from other runs.
 *
 * Each has its own way of getting in the sharers' way: slow heads, cancel requests, clients that write, that do not read or that
 * leave, settings that differ, catalogues that change, pools of two users that compete for servers.
 */
import type { Action, ClientTemper } from "./client-temper.ts";
import type { SimPoolMode } from "./engine-under-test.ts";
import type { Random } from "./random.ts";
import type { Scenario } from "./scenario.ts";

/** `scenario` with a crowd in it. */
export function crowded(random: Random, scenario: Scenario): Scenario {
  // Answers so large that a client which does not read them holds a server up.
  const unread = random.chance(0.15);
  const users = random.chance(0.2) ? ["alice", "bob"] : ["alice"];
  const mode: SimPoolMode = random.chance(0.2) ? "statement" : "transaction";
  const databases = Array.from({ length: random.chance(0.05) ? 2 : 1 }, (_, at) => ({
    name: `db${at}`,
    poolMode: mode,
    poolSize: random.pick([1, 2, 2, 3]),
  }));
  const databaseMax = users.length > 1 && random.chance(0.6) ? random.between(1, 3) : scenario.databaseMax;
  const settings = new Map(Object.entries(scenario.settings));
  for (const name of ["server_reset_query_always", "sharing", "max_db_connections"]) settings.delete(name);
  const clientsTotal = random.between(8, 24);
  return {
    ...scenario,
    databases,
    users,
    databaseMax,
    network: {
      ...scenario.network,
      latencyMaxMs: random.pick([0.1, 0.1, 1, 5]),
      cutChance: random.pick([0, 0, 0, 0.05]),
      windowsBytes: unread ? [4096, 65_536] : random.pick([[65_536], [65_536], [1000, 65_536]]),
    },
    server: {
      ...scenario.server,
      thinkingChance: random.pick([0, 0.2, 0.5]),
      thinkingMaxMs: random.pick([1, 1, 5]),
      deathChance: scenario.calm ? 0 : random.pick([0, 0.3, 0.7]),
      fateBytesMax: 60_000,
    },
    settings: {
      ...Object.fromEntries(settings),
      ...(databaseMax > 0 ? { max_db_connections: String(databaseMax) } : {}),
      sharing_short_runs: random.pick(["0", "0", "0", "1", "3"]),
      sharing_short_time: random.pick(["2", "10", "10", "50"]),
      sharing_short_bytes: unread ? "1000000" : "16384",
      sharing_depth: random.pick(["2", "2", "4", "16"]),
      sharing_low_mark: random.pick(["0", "1", "4"]),
    },
    clientsTotal,
    clientsAtOnce: random.between(8, Math.min(20, clientsTotal)),
    nameChance: random.pick([0, 0.05, 0.3]),
    styleChance: random.pick([0, 0.05, 0.3]),
    clients: random.chance(0.6)
      ? drawFlood(drawClients(random, scenario, false, unread))
      : drawClients(random, scenario, mode !== "statement", unread),
  };
}

/** Nothing but reads and what disturbs them, from everybody at once. */
function drawFlood(clients: ClientTemper): ClientTemper {
  const { simple = 0, extended = 0, prepared = 0, cancel = 0, slowRead = 0, create = 0 } = clients.actions;
  const actions = { simple, extended, prepared, cancel, slowRead, create };
  return { ...clients, actions, actionsMax: 25, dribbleChance: 0 };
}

function drawClients(
  random: Random,
  { clients, allowedErrors }: Scenario,
  blocks: boolean,
  unread: boolean,
): ClientTemper {
  const rarely = () => random.pick([0, 0.1, 0.5]);
  const actions: Readonly<Record<Action, number>> = {
    simple: random.pick([1, 6]),
    extended: random.pick([1, 6]),
    prepared: random.pick([1, 6]),
    portal: rarely(),
    pipeline: random.pick([0, 0.5, 2]),
    flush: rarely(),
    block: blocks ? random.pick([0, 0.5, 2]) : 0,
    copyIn: rarely(),
    copyOut: rarely(),
    functionCall: rarely(),
    setting: rarely(),
    discard: rarely() / 5,
    create: random.pick([0, 0, 0, 0, 0, 0.03]),
    cancel: random.pick([0, 1, 4]),
    slowRead: unread ? 1 : 0,
    think: random.pick([0, 0.5]),
  };
  return {
    ...clients,
    actions,
    blocks,
    actionsMax: random.pick([8, 25, 25]),
    failChance: random.pick([0, 0.02, 0.2]),
    readChance: random.pick([0.9, 1]),
    writeChance: random.pick([0, 0.02, 0.1]),
    severalChance: random.pick([0, 0.05]),
    closeChance: 0.03,
    ownTextChance: random.pick([0, 0.1]),
    thinkMaxMs: random.pick([1, 5]),
    rowsMax: random.pick([3, 20, 40]),
    rowBytesMax: unread ? 4000 : random.pick([20, 100, 2000]),
    unreadRowsMax: 60,
    unreadMaxMs: 200,
    // Where a time limit is to strike, something has to take longer.
    pauseMaxMs: allowedErrors.length > 0 ? 2500 : random.pick([30, 200]),
    cancelMaxMs: random.pick([1, 5, 60]),
    dribbleChance: random.pick([0, 0, 0, 0.05]),
  };
}
