/**
 * The laws of the design's section 8, as far as they can be judged while a run goes on and when it is over.
 *
 * From outside: what the engine has open in the network, what backends and clients saw. From inside: what the engine's
 * `inspect` tells. What backends and clients find by themselves (`audit.ts`, `sim-client.ts`) is not repeated here.
 */
import type { EngineKind, EngineUnderTest, PoolView } from "./engine-under-test.ts";
import type { Scenario } from "./scenario.ts";
import type { ScriptedPostgres } from "./scripted-postgres.ts";
import { checkSharing } from "./sharing-laws.ts";
import type { SharingMemory } from "./sharing-laws.ts";
import type { SimWorld } from "./sim-world.ts";

/** The most that one connection may hold: the bound of an outbox, one received chunk on top, and some messages of our own. */
export const HELD_MAX_BYTES = 64 * 1024 + 524_288 + 65_536;
const CANCEL_CODE = 80_877_102;

export interface LawContext {
  readonly world: SimWorld;
  readonly postgres: ScriptedPostgres;
  readonly scenario: Scenario;
  readonly kind: EngineKind;
  readonly engine: EngineUnderTest;
  readonly serverPort: number;
  /** Who waited in which pool after the turn before this one, and since which turn. */
  readonly queues: Map<string, ReadonlyMap<number, Wait>>;
  /** What the laws about sharing remember of each pool. */
  readonly memories: Map<string, SharingMemory>;
  /** Clients whose statement was on a server with others', or could be moved from one, after the turn before this one, by their addresses. */
  readonly movable: Set<string>;
}

interface Wait {
  readonly turn: number;
  readonly shares: boolean;
  /** It does not wait now, but may again. */
  readonly rides: boolean;
  /** Tells one wait of a client from the next: a wait may be cancelled, and another begin in the same turn. */
  readonly sinceMs: number;
}

/** Checked after each turn. */
export function checkStep(context: LawContext): void {
  checkConnections(context);
  const { engine, world } = context;
  const view = engine.inspect();
  if (view === null) return;
  context.movable.clear();
  for (const problem of view.problems) world.chronicle.violate(`the engine says: ${problem}`);
  for (const pool of view.pools) {
    for (const problem of pool.problems) {
      world.chronicle.violate(`pool ${pool.database}/${pool.user}: ${problem}`);
    }
    checkQueue(context, pool);
    checkSharing(context, pool);
    for (const { source } of pool.riders.values()) context.movable.add(source);
  }
}

/**
 * First come, first served within a pool: nobody is served while somebody waits on who had come in an earlier turn. Who
 * rides with others may overtake those who need a server alone, and those whom no server could take that he rides on. Who
 * came when is remembered here, whatever order the engine's queue is in.
 */
function checkQueue({ world, queues }: LawContext, pool: PoolView): void {
  const key = `${pool.database}/${pool.user}`;
  const before = queues.get(key);
  if (before === undefined && pool.waiters.length + pool.riders.size === 0) return;
  const now = new Map<number, Wait>();
  for (const { id, sinceMs, shares } of pool.waiters) {
    const known = before?.get(id);
    now.set(id, { turn: known?.sinceMs === sinceMs ? known.turn : world.turns, sinceMs, shares, rides: false });
  }
  // Who was moved in this turn may not have been here yet when the others were served.
  const first = earliest(now, (_, id) => before?.get(id)?.rides !== true);
  const firstSharing = earliest(now, ({ shares }, id) => shares && before?.get(id)?.rides !== true);
  for (const [id, { turn, rides }] of before ?? []) {
    if (rides) continue;
    const overtaken = pool.riders.get(id)?.isShared === true ? firstSharing : first;
    if (overtaken !== null && turn > overtaken.turn && !now.has(id) && pool.holders.has(id)) {
      world.chronicle.violate(`pool ${key} served client ${id} before client ${overtaken.id}, which had come first`);
    }
  }
  // Who rides may be moved, and has come when it came first.
  for (const [id, { sinceMs }] of pool.riders) {
    const known = before?.get(id);
    const turn = known?.sinceMs === sinceMs ? known.turn : world.turns;
    now.set(id, { turn, sinceMs, shares: true, rides: true });
  }
  if (now.size > 0) queues.set(key, now);
  else queues.delete(key);
}

function earliest(
  waits: ReadonlyMap<number, Wait>,
  counts: (wait: Wait, id: number) => boolean,
): { readonly id: number; readonly turn: number } | null {
  let found: { readonly id: number; readonly turn: number } | null = null;
  for (const [id, wait] of waits) {
    if (counts(wait, id) && (found === null || wait.turn < found.turn)) found = { id, turn: wait.turn };
  }
  return found;
}

/** `connected + connecting ≤` every limit, always. */
function checkConnections({ world, kind, scenario, serverPort, postgres }: LawContext): void {
  if (!kind.pools) return;
  let servers = 0;
  let cancels = 0;
  for (const end of world.network.inUse("engine")) {
    if (end.remote.port !== serverPort) continue;
    const first = end.firstBytes;
    const isCancel = first !== null && first.length >= 8 && new DataView(first.buffer).getInt32(4) === CANCEL_CODE;
    if (isCancel) cancels++;
    else servers++;
  }
  let sizes = 0;
  for (const database of scenario.databases) sizes += (database.poolSize + scenario.reserve) * scenario.users.length;
  // A connection opened for a cancel looks like a server's until its first bytes are written.
  if (servers > sizes && servers + cancels > 3 * sizes) {
    world.chronicle.violate(`${servers} server connections and ${cancels} cancels where ${sizes} servers are allowed`);
  }
  for (const database of scenario.databases) {
    const allowed = database.poolSize + scenario.reserve;
    let all = 0;
    for (const user of scenario.users) {
      const open = postgres.sessionsOf(database.name, user).filter((backend) => backend.end.peer?.inUse === true);
      all += open.length;
      if (open.length > allowed)
        world.chronicle.violate(`${open.length} servers of ${database.name}/${user}, where ${allowed} are allowed`);
    }
    if (scenario.databaseMax > 0 && all > scenario.databaseMax) {
      world.chronicle.violate(
        `${all} servers of ${database.name}, where max_db_connections is ${scenario.databaseMax}`,
      );
    }
  }
}

/** Checked between the answer to PAUSE and RESUME: nobody has a server. */
export function checkPaused({ engine, world }: LawContext): void {
  for (const pool of engine.inspect()?.pools ?? []) {
    if (pool.holders.size > 0)
      world.chronicle.violate(`pool ${pool.database}/${pool.user} serves clients although it is paused`);
  }
}

/** Checked when all clients are gone and the engine had time to come to rest. */
export function checkRest(context: LawContext): void {
  const { world, postgres, engine, serverPort, kind } = context;
  for (const end of world.network.inUse("engine")) {
    if (end.remote.port === serverPort) {
      if (!kind.pools)
        world.chronicle.violate(`connection ${end.id} to the server has lost its client and is still open`);
    } else {
      world.chronicle.violate(`connection ${end.id} of a client that has gone is still open in the engine`);
    }
  }
  for (const backend of postgres.backends) {
    if (backend.session === null || backend.end.peer?.inUse !== true) continue;
    if (!backend.isResting) {
      world.chronicle.violate(
        `backend ${backend.id} is not at rest although all clients are gone (status ${backend.session.status})`,
      );
    }
  }
  const view = engine.inspect();
  if (view === null) return;
  if (view.heldBytes > 0) world.chronicle.violate(`the engine holds ${view.heldBytes} bytes for nobody`);
  for (const pool of view.pools) {
    for (const [state, count] of Object.entries(pool.clients)) {
      if (count > 0)
        world.chronicle.violate(`pool ${pool.database}/${pool.user} counts ${count} clients as ${state} and has none`);
    }
    if (pool.waiters.length > 0) {
      world.chronicle.violate(`pool ${pool.database}/${pool.user} has ${pool.waiters.length} waiters and no client`);
    }
    for (const state of ["active", "shared", "tested", "new", "being_canceled"]) {
      const count = pool.servers[state] ?? 0;
      if (count > 0)
        world.chronicle.violate(`pool ${pool.database}/${pool.user} has ${count} servers ${state} and no client`);
    }
  }
}

/** Checked when the engine was stopped. */
export function checkGone({ world }: LawContext): void {
  for (const end of world.network.ends) {
    if (end.side === "engine") world.chronicle.violate(`connection ${end.id} outlived its engine`);
  }
  if (world.network.openListeners("engine") > 0) world.chronicle.violate("a listener outlived its engine");
  if (world.pendingTimers > 0) world.chronicle.violate(`${world.pendingTimers} timers outlived their engine`);
}
