/**
 * Several pools that share budgets, with hosts that answer at once or later and call back at any time, driven by a list of numbers; and the
 * laws, checked from outside with books of its own: what the hosts were told and did is compared with what the pools say.
 *
 * The books never ask a pool what it would do. Where a law needs a rule (may one be opened now?), the rule is written again here, from the
 * settings' meaning.
 */
import { Budget } from "../../../src/pool/budget.ts";
import { Pool } from "../../../src/pool/pool.ts";
import { Fit } from "../../../src/pool/pool-host.ts";
import type { PoolHost, PoolPolicy } from "../../../src/pool/pool.ts";
import { ServerState } from "../../../src/pool/server-state.ts";
import type { Slot } from "../../../src/pool/slot.ts";
import { Waiting } from "../../../src/pool/wait-queue.ts";
import { FakeServer } from "./fake-host.ts";

export class BrokenLaw extends Error {}

function law(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new BrokenLaw(sentence);
}

class Client {
  readonly waiting: Waiting<Client>;
  readonly id: number;
  end: "waiting" | "served" | "left" = "waiting";
  /** The attempt that is made for it, if it wants a server of its own. */
  attempt: FakeServer | null = null;

  constructor(id: number) {
    this.id = id;
    this.waiting = new Waiting<Client>(this);
  }
}

type Phase = "new" | "free" | "checking" | "active" | "resetting" | "canceled" | "leaving" | "gone";

interface Book {
  phase: Phase;
  client: Client | null;
}

export interface WorldPlan {
  readonly limits: readonly number[];
  readonly policies: readonly Partial<PoolPolicy>[];
  /** One number for each decision that a host makes inside a callback; used up, everything is answered later. */
  readonly reactions: readonly number[];
}

/** One pool with its host and its books. */
class Side implements PoolHost<FakeServer, Client> {
  readonly world: PoolWorld;
  readonly policy: PoolPolicy;
  readonly budgets: readonly Budget[];
  readonly pool: Pool<FakeServer, Client>;
  readonly slots: Slot[] = [];
  /** Whose own the servers of slots will be. */
  readonly owners = new Map<Slot, Client>();
  readonly books = new Map<FakeServer, Book>();
  readonly cancels: Slot[] = [];
  queue: Client[] = [];
  /** Those who want servers of their own. */
  own: Client[] = [];
  paused = false;
  failedAt: number | null = null;
  interrupted = false;
  startedAt = -Infinity;
  reserveLogged = false;
  /** `acquire` is on the stack, for this client. */
  acquiring: Client | null = null;
  /** Callbacks inside `acquire` have freed servers for others, who may wait for the next call. */
  leftOver = false;

  constructor(world: PoolWorld, policy: PoolPolicy, budgets: readonly Budget[]) {
    this.world = world;
    this.policy = policy;
    this.budgets = budgets;
    this.pool = new Pool<FakeServer, Client>(policy, this, budgets);
  }

  in(...phases: Phase[]): FakeServer[] {
    return [...this.books].filter(([, book]) => phases.includes(book.phase)).map(([server]) => server);
  }

  book(server: FakeServer): Book {
    const book = this.books.get(server);
    law(book !== undefined, "a pool speaks only of servers that were announced to it");
    return book;
  }

  get held(): number {
    return (
      this.slots.length +
      this.in("new", "free", "checking", "active", "resetting", "canceled", "leaving").length +
      this.cancels.length
    );
  }

  // ── what the pool says; of sharing there are worlds of their own ──

  mayShare(): boolean {
    return false;
  }

  fit(): Fit {
    return Fit.alone;
  }

  ride(): void {
    law(false, "nobody rides who may not share");
  }

  sealed(): void {
    law(false, "nothing is sealed that is not shared");
  }

  open(slot: Slot, owner: Client | null): void {
    const { policy, world } = this;
    this.slots.push(slot);
    if (owner !== null) {
      law(this.own.shift() === owner, "first come, first served, servers of their own too");
      law(!owner.waiting.queued, "whose server is opened waits in no queue");
      this.owners.set(slot, owner);
    }
    const logins = this.slots.length + this.in("new").length;
    law(!this.paused, "a paused pool opens nothing");
    law(logins <= policy.loginsAtOnceMax, "no more logins at once than allowed");
    law(
      this.failedAt === null || (world.now > this.startedAt && world.now - this.startedAt >= policy.loginRetryMs),
      "after a failed login there is a pause",
    );
    this.startedAt = world.now;
    const max = policy.sizeMax + (this.reserveLogged ? policy.reserveMax : 0);
    law(policy.sizeMax === 0 || this.held <= max, `a server is opened within the pool's size (${this.held} of ${max})`);
    if (this.reserveLogged) {
      law(policy.reserveTimeoutMs > 0, "the reserve is used only if a time-out is set for it");
      law(
        [...this.queue, ...this.own, ...(owner === null ? [] : [owner])].some(
          (client) => world.now - client.waiting.since >= policy.reserveTimeoutMs,
        ),
        "the reserve is for those who have waited",
      );
    }
    this.reserveLogged = false;
    for (const budget of this.budgets)
      law(budget.limit === 0 || world.usedOf(budget) <= budget.limit, "a server is opened within every budget");
    this.world.react((n) => {
      if (n % 4 === 0) this.announce(slot);
      else if (n % 4 === 1) this.login(this.announce(slot));
      else if (n % 4 === 2) this.fail(null, slot);
      else this.failNew(this.announce(slot));
    });
  }

  serve(client: Client, server: FakeServer): void {
    law(client !== this.acquiring, "who is inside acquire is not served by callback");
    law(this.acquiring === null, "nobody is served from inside acquire");
    law(this.queue.length > 0 && this.queue[0] === client, "first come, first served");
    this.queue.shift();
    this.give(client, server);
    this.world.react((n) => {
      if (n % 3 === 0) this.release(server, n);
      else if (n % 3 === 1) this.acquire();
      else this.drop(server, n);
    });
  }

  check(server: FakeServer): void {
    law(this.book(server).phase === "free", "only a free server is checked");
    law(this.policy.checks, "no check without a check query");
    this.book(server).phase = "checking";
    this.world.react((n) => {
      if (n % 3 === 0) this.close(server);
      else if (n % 3 === 1) this.pass(server);
      else this.acquire();
    });
  }

  retire(server: FakeServer, reason: string): void {
    const book = this.book(server);
    law(book.phase !== "leaving" && book.phase !== "gone", "a server is told to close once");
    this.world.reasons.add(reason);
    law(server.place.state === null, "a retired server is in no list");
    if (reason === "evicted") {
      law(
        book.phase === "free" || this.queue.length === 0,
        "nobody's tested server is taken away while somebody waits for it",
      );
      law(
        this.budgets.some((budget) => budget.limit > 0 && this.world.usedOf(budget) >= budget.limit) ||
          (this.own.length > 0 && this.policy.sizeMax > 0 && this.held + this.own.length > this.policy.sizeMax),
        "nothing is evicted in vain",
      );
      law(book.phase !== "active" && book.phase !== "canceled", "a client's server is not evicted");
    }
    const wasNew = book.phase === "new";
    book.phase = "leaving";
    if (wasNew) this.again(book);
    this.world.react((n) => {
      if (n % 3 === 0) this.close(server);
      else if (n % 3 === 1) this.acquire();
      else this.giveUp(n);
    });
  }

  hasClients(): boolean {
    return true;
  }

  log(_level: string, message: string): void {
    law(message === "taking connection from reserve_pool", "the pool has one line for the log");
    this.reserveLogged = true;
  }

  // ── what happens ──

  acquire(): void {
    if (this.acquiring !== null && this.world.depth > 6) return;
    const client = new Client(++this.world.clients);
    this.world.all.push(client);
    this.queue.push(client);
    const before = this.acquiring;
    this.acquiring = client;
    const server = this.pool.acquire(client.waiting, this.world.now);
    this.acquiring = before;
    if (this.pool.servers.count(ServerState.idle) > 0 && this.queue.length > 0) this.leftOver = true;
    if (server === null) {
      law(client.end !== "waiting" || client.waiting.queued, "who gets no server is queued");
      return;
    }
    law(client.end === "waiting" && !client.waiting.queued, "who gets a server at once waits no more");
    law(this.queue[0] === client, "nobody is overtaken");
    this.queue.shift();
    this.give(client, server);
  }

  /** A client wants a server of its own. */
  dedicate(): void {
    const client = new Client(++this.world.clients);
    this.world.all.push(client);
    this.own.push(client);
    this.pool.dedicate(client.waiting, this.world.now, this.world.now);
  }

  /** The attempt for a client is over without a server: it asks again, at its old place; at the end of the world it leaves. */
  again(book: Book | null, client: Client | null = book?.client ?? null): void {
    if (book !== null) book.client = null;
    if (client === null || client.end !== "waiting") return;
    client.attempt = null;
    if (this.world.ending) {
      client.end = "left";
      return;
    }
    const { since } = client.waiting;
    const at = this.own.findIndex((other) => other.waiting.since >= since);
    this.own.splice(at === -1 || since === this.world.now ? this.own.length : at, 0, client);
    this.pool.dedicate(client.waiting, since, this.world.now);
  }

  give(client: Client, server: FakeServer): void {
    const book = this.book(server);
    law(!server.dedicated, "nobody is given what is another's own");
    law(book.phase === "free" && book.client === null, `only a free server is given out (${book.phase})`);
    law(!server.closeNeeded && !server.dirty, "no unusable server is given out");
    law(!this.paused, "a paused pool gives nothing out");
    law(server.place.state === ServerState.active, "a server that is given out is active");
    law(client.end === "waiting", "every waiter ends once");
    client.end = "served";
    book.phase = "active";
    book.client = client;
  }

  announce(slot: Slot): FakeServer {
    this.slots.splice(this.slots.indexOf(slot), 1);
    const owner = this.owners.get(slot) ?? null;
    const server = new FakeServer(`${this.books.size}`, owner !== null);
    if (owner !== null) owner.attempt = server;
    this.owners.delete(slot);
    this.books.set(server, { phase: "new", client: owner });
    this.pool.opening(server, slot, this.world.now);
    return server;
  }

  login(server: FakeServer): void {
    const book = this.book(server);
    this.failedAt = null;
    this.interrupted = false;
    book.phase = server.dedicated ? "active" : "free";
    if (book.client !== null) book.client.end = "served";
    this.pool.opened(server, this.world.now);
  }

  fail(server: FakeServer | null, slot: Slot, interrupted = false): void {
    const owner = this.owners.get(slot) ?? null;
    this.owners.delete(slot);
    if (server === null) this.slots.splice(this.slots.indexOf(slot), 1);
    else this.book(server).phase = "gone";
    if (!interrupted || this.interrupted) this.failedAt = this.world.now;
    this.interrupted ||= interrupted;
    this.pool.openFailed(server, slot, this.world.now, interrupted);
    if (server === null) this.again(null, owner);
    else this.again(this.book(server));
  }

  failNew(server: FakeServer, interrupted = false): void {
    const { slot } = server;
    law(slot !== null, "a new server has a slot");
    this.fail(server, slot, interrupted);
    this.pool.closed(server, this.world.now);
  }

  release(server: FakeServer, n: number): void {
    const book = this.book(server);
    if (book.phase !== "active") return;
    book.client = null;
    if (server.dedicated) {
      this.pool.retire(server, "test", this.world.now);
    } else if (n % 5 === 0) {
      book.phase = "resetting";
      this.pool.testing(server, this.world.now);
    } else if (n % 5 === 1) {
      book.phase = "canceled";
      this.pool.cancelling(server, this.world.now);
    } else this.free(server);
  }

  free(server: FakeServer): void {
    const book = this.book(server);
    book.phase = "free";
    book.client = null;
    this.pool.released(server, this.world.now);
  }

  pass(server: FakeServer): void {
    this.book(server).phase = "free";
    this.pool.checked(server, this.world.now);
  }

  close(server: FakeServer): void {
    const book = this.book(server);
    if (book.phase === "gone") return;
    const wasNew = book.phase === "new";
    if (wasNew) this.failedAt = this.world.now;
    book.phase = "gone";
    this.pool.closed(server, this.world.now);
    if (wasNew) this.again(book);
    book.client = null;
    law(server.slot === null && server.place.state === null, "a server that has closed is nowhere");
  }

  /** The host itself wants an active server closed. */
  drop(server: FakeServer, n: number): void {
    const book = this.book(server);
    if (book.phase !== "active") return;
    book.client = null;
    if (n % 2 === 0) this.pool.retire(server, "test", this.world.now);
    else this.close(server);
  }

  /** After maintenance: nobody waits for a place while the pool keeps a free server that could make one. */
  checkPlaces(): void {
    const { policy, world, own } = this;
    const logins = this.slots.length + this.in("new").length;
    const mayTry = this.failedAt === null || world.now - this.startedAt >= policy.loginRetryMs;
    if (own.length === 0 || this.paused || !mayTry || world.now <= this.startedAt || logins > 0) return;
    const { idle, used } = this.pool.snapshot();
    law(
      idle + used === 0 || this.in("leaving").length > 0 || this.budgets.some((budget) => budget.leaving > 0),
      "nobody who wants a server of its own waits while others are free",
    );
  }

  giveUp(n: number): void {
    const client = this.queue[n % Math.max(1, this.queue.length)];
    if (client === undefined || client === this.acquiring) return;
    client.end = "left";
    this.queue.splice(this.queue.indexOf(client), 1);
    this.pool.leave(client.waiting);
    law(!client.waiting.queued, "who leaves waits no more");
  }

  /** One who wants a server of its own gives up, in the queue or in the middle of the attempt. */
  giveUpOwn(n: number): void {
    const waiting = this.world.all.filter((client) => this.own.includes(client) || this.isAttempt(client));
    const client = waiting[n % Math.max(1, waiting.length)];
    if (client === undefined) return;
    client.end = "left";
    if (this.own.includes(client)) this.own.splice(this.own.indexOf(client), 1);
    this.pool.leave(client.waiting);
    if (client.attempt !== null) this.pool.retire(client.attempt, "test", this.world.now);
  }

  isAttempt(client: Client): boolean {
    return client.end === "waiting" && client.attempt !== null && this.books.get(client.attempt)?.phase === "new";
  }
}

export class PoolWorld {
  readonly budgets: readonly Budget[];
  readonly sides: readonly Side[];
  readonly limits: number[];
  readonly all: Client[] = [];
  readonly reasons = new Set<string>();
  now = 1000;
  clients = 0;
  depth = 0;
  ending = false;
  #reactions: number[];
  /** Limits or settings have changed since the last tick, so that what follows from them may still come. */
  #disturbed = false;

  constructor(plan: WorldPlan) {
    this.limits = [...plan.limits];
    this.budgets = this.limits.map((_, i) => new Budget(`budget ${i}`, () => this.limits[i] ?? 0));
    this.#reactions = [...plan.reactions];
    this.sides = plan.policies.map((changes, i) => {
      const policy: PoolPolicy = {
        sizeMax: 2,
        sizeMin: 0,
        reserveMax: 0,
        reserveTimeoutMs: 500,
        checkDelayMs: 1000,
        checks: true,
        idleTimeoutMs: 5000,
        lifetimeMs: 20_000,
        loginRetryMs: 700,
        roundRobin: false,
        loginsAtOnceMax: 1,
        keepFilled: false,
        shareDepth: 0,
        shareLowMark: 0,
        ...changes,
      };
      // Two databases and two users: each pair of pools shares something.
      const shared = [this.budgets[i % 2], this.budgets[2 + (i >> 1)]].filter((budget) => budget !== undefined);
      return new Side(this, policy, shared);
    });
  }

  usedOf(budget: Budget): number {
    return this.sides.filter((side) => side.budgets.includes(budget)).reduce((sum, side) => sum + side.held, 0);
  }

  react(how: (n: number) => void): void {
    if (this.depth > 8) return;
    const n = this.#reactions.pop();
    if (n === undefined || n < 0) return;
    this.depth++;
    try {
      how(n);
    } finally {
      this.depth--;
    }
  }

  step(kind: number, which: number, n: number): void {
    const side = this.sides[which % this.sides.length]!;
    const { pool } = side;
    const pick = (...phases: Phase[]): FakeServer | undefined => {
      const servers = side.in(...phases);
      return servers[n % Math.max(1, servers.length)];
    };
    const on = (server: FakeServer | undefined, act: (server: FakeServer) => void): void => {
      if (server !== undefined) act(server);
    };
    switch (kind % 25) {
      case 0:
      case 1:
      case 2:
      case 3:
        side.acquire();
        break;
      case 4:
      case 5:
        on(pick("active"), (server) => side.release(server, n));
        break;
      case 6:
        on(pick("resetting", "canceled"), (server) => side.free(server));
        break;
      case 7:
      case 8:
        if (side.slots.length > 0) side.announce(side.slots[n % side.slots.length]!);
        else on(pick("new"), (server) => side.login(server));
        break;
      case 9:
        on(pick("new"), (server) => side.login(server));
        break;
      case 10:
        if (n % 2 === 0 && side.slots.length > 0) side.fail(null, side.slots[0]!);
        else on(pick("new"), (server) => side.failNew(server, n % 3 !== 0));
        // Whoever ends logins may well end the next one too.
        if (n % 5 === 1 && side.slots.length > 0) side.failNew(side.announce(side.slots[0]!), true);
        break;
      case 11:
        on(pick("checking"), (server) => side.pass(server));
        break;
      case 12:
      case 13:
        on(pick("leaving"), (server) => side.close(server));
        break;
      case 14:
        on(pick("new", "free", "checking", "active", "resetting", "canceled"), (server) => side.close(server));
        break;
      case 15:
        side.giveUp(n);
        break;
      case 16:
        this.now += n % 3 === 0 ? n * 17 : n;
        break;
      case 17:
      case 18:
        this.tick();
        break;
      case 19:
        side.paused = !side.paused;
        if (side.paused) pool.pause(this.now);
        else pool.resume(this.now);
        break;
      case 20:
        if (n % 3 === 0) pool.markCloseNeeded(this.now);
        else if (n % 3 === 1) on(pick("free"), (server) => (server.dirty = true));
        else on(pick("active", "free", "checking"), (server) => pool.retire(server, "test", this.now));
        break;
      case 21:
        if (n % 2 === 0) {
          const slot = pool.takeCancelSlot();
          law(
            slot !== null || (side.policy.sizeMax > 0 && side.held >= 2 * side.policy.sizeMax),
            "a cancel request is refused only past twice the size",
          );
          if (slot !== null) side.cancels.push(slot);
        } else if (n % 4 === 1) side.cancels.pop()?.giveBack(this.now);
        else {
          pool.tick(this.now); // so that the latest time the pool was told is now
          side.cancels.pop()?.giveBack();
        }
        break;
      case 22:
        this.#disturbed = true;
        if (n % 4 === 0) this.limits[which % Math.max(1, this.limits.length)] = n % 5;
        else if (n % 4 === 1) side.policy.sizeMax = n % 5;
        else if (n % 4 === 2) side.policy.sizeMin = n % 3;
        else side.policy.checkDelayMs = n % 2 === 0 ? 0 : 1000;
        break;
      case 23:
        pool.warm(this.now);
        break;
      case 24:
        if (n % 3 === 0) side.giveUpOwn(n);
        else side.dedicate();
        break;
    }
    this.check();
  }

  tick(): void {
    this.now += 333;
    for (const side of this.sides) {
      side.pool.tick(this.now);
      side.leftOver = false;
    }
    for (const side of this.sides) side.checkPlaces();
    const asking = this.sides.filter((side) => side.pool.snapshot().slotRequested);
    const sinceOf = (side: Side): number => side.pool.snapshot().waitingSince ?? Infinity;
    for (const side of asking) {
      if (asking.some((other) => other !== side && sinceOf(other) <= sinceOf(side))) continue;
      const full = side.budgets.filter((budget) => budget.isFull);
      const others = (budget: Budget): Side[] =>
        this.sides.filter((other) => other !== side && other.budgets.includes(budget));
      if (!full.every((budget) => others(budget).some((other) => other.pool.servers.count(ServerState.idle) > 0)))
        continue;
      law(
        full.some((budget) => budget.leaving > 0),
        "nobody waits for a budget of which others keep idle servers",
      );
    }
    this.#disturbed = false;
  }

  /** The laws that hold between two steps. */
  check(): void {
    for (const side of this.sides) {
      const { pool } = side;
      const { servers } = pool;
      let sum = 0;
      for (const state of Object.values(ServerState)) {
        const members = [...servers.in(state)];
        law(members.length === servers.count(state), "counts are list lengths");
        for (const server of members)
          law(
            server.place.state === state && server.slot?.held === true,
            "a server in a list is in that state and has a slot",
          );
        sum += members.length;
      }
      law(sum === servers.total, "every server is in one list");
      law(
        pool.loginFailing === (side.failedAt !== null && pool.sharedCount === 0),
        "logins are failing if the last has failed, and not if somebody has ended it",
      );
      const live = side.in("new", "free", "checking", "active", "resetting", "canceled");
      law(live.length === servers.total, `the pool's servers are those of the host (${live.length}, ${servers.total})`);
      for (const server of live)
        law(
          agree(side.book(server).phase, server.place.state),
          `host and pool agree on a state (${side.book(server).phase}, ${server.place.state})`,
        );
      law(pool.connections === side.held, `connections are counted (${pool.connections}, ${side.held})`);
      const snapshot = pool.snapshot();
      law(
        snapshot.leaving === side.in("leaving").length && snapshot.cancels === side.cancels.length,
        "the snapshot tells what there is",
      );
      law(
        [...pool.waiters].every((client, i) => client === side.queue[i]) && pool.waiters.length === side.queue.length,
        "the queue is the clients in order of arrival",
      );
      law(
        [...pool.dedicated].every((client, i) => client === side.own[i]) && pool.dedicated.length === side.own.length,
        "so is the queue of those who want servers of their own",
      );
      law(snapshot.waiting === side.queue.length + side.own.length, "the snapshot counts all who wait");
      for (const [server, book] of side.books) {
        const { dedicated, place } = server;
        law(
          !dedicated || place.state === null || place.state === ServerState.new || place.state === ServerState.active,
          "what is one client's own is free for nobody",
        );
        law(
          !dedicated || book.phase !== "new" || book.client?.attempt === server,
          "an attempt has the client it is for",
        );
      }
      for (const client of [...side.queue, ...side.own])
        law(client.end === "waiting" && client.waiting.queued, "who waits is queued");
      law(pool.paused === side.paused, "paused is paused");
      const { idle, tested, used } = snapshot;
      if (idle === 0 || side.queue.length === 0) side.leftOver = false;
      if (!side.leftOver && !side.paused) {
        law(side.queue.length === 0 || idle === 0, "nobody waits while a server is idle");
        law(side.queue.length <= tested || used === 0, "nobody waits while a server only needs a check");
      }
      if (!this.#disturbed && snapshot.slotRequested) {
        law(
          side.budgets.some((budget) => budget.isFull),
          "a pool whose request is open waits for a full budget",
        );
      }
    }
    for (const budget of this.budgets) {
      law(
        budget.used === this.usedOf(budget),
        `a budget counts what there is (${budget.used}, ${this.usedOf(budget)})`,
      );
      const leaving = this.sides
        .filter((side) => side.budgets.includes(budget))
        .reduce((sum, side) => sum + side.in("leaving").length, 0);
      law(budget.leaving === leaving, "a budget knows what is closing");
    }
  }

  /** PostgreSQL behaves, nobody new comes, clients are done at once: everybody who waits is served. */
  drain(): void {
    this.#reactions = [];
    this.#disturbed = true;
    this.limits.forEach((limit, i) => (this.limits[i] = Math.max(limit, 1)));
    for (const side of this.sides) {
      side.policy.sizeMax = Math.max(side.policy.sizeMax, 1);
      if (side.paused) {
        side.paused = false;
        side.pool.resume(this.now);
      }
      for (const slot of side.cancels.splice(0)) slot.giveBack(this.now);
    }
    for (let round = 0; round < 400 && this.sides.some((side) => side.queue.length + side.own.length > 0); round++) {
      for (const side of this.sides) this.#answer(side);
      this.tick();
      this.check();
    }
    law(
      this.sides.every((side) => side.queue.length + side.own.length === 0),
      "everybody who waits is served in the end",
    );
  }

  #answer(side: Side): void {
    for (const slot of side.slots.slice()) side.announce(slot);
    for (const server of side.in("new")) side.login(server);
    for (const server of side.in("checking")) side.pass(server);
    for (const server of side.in("resetting", "canceled", "active")) {
      if (server.dedicated) side.release(server, 0);
      else side.free(server);
    }
    for (const server of side.in("leaving")) side.close(server);
  }

  /** Everything is closed: nothing is left anywhere, and every client has ended once. */
  end(): void {
    this.#reactions = [];
    this.ending = true;
    for (const side of this.sides) {
      if (!side.paused) {
        side.paused = true;
        side.pool.pause(this.now);
      }
    }
    for (const side of this.sides) {
      while (side.queue.length > 0) side.giveUp(0);
      while (side.own.length > 0) side.giveUpOwn(0);
      for (const slot of side.slots.slice()) side.fail(null, slot);
      for (const [server] of side.books) side.close(server);
      for (const slot of side.cancels.splice(0)) slot.giveBack(this.now);
      this.check();
    }
    for (const side of this.sides) {
      law(side.pool.connections === 0, "nothing is left of a pool's connections");
      side.pool.dismantle();
    }
    for (const budget of this.budgets) {
      law(
        budget.used === 0 && budget.leaving === 0 && budget.waiting.size === 0 && budget.members.size === 0,
        "nothing is left in a budget",
      );
    }
    for (const client of this.all) law(client.end !== "waiting", "every waiter has ended");
  }
}

function agree(phase: Phase, state: ServerState | null): boolean {
  switch (phase) {
    case "new":
      return state === ServerState.new;
    case "free":
      return state === ServerState.idle || state === ServerState.used;
    case "checking":
    case "resetting":
      return state === ServerState.tested;
    case "active":
      return state === ServerState.active;
    case "canceled":
      return state === ServerState.beingCanceled;
    default:
      return state === null;
  }
}
