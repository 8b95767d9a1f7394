/**
 * From the names in a startup packet to a client that may ask for servers: database and user, limits, auth_query, the
 * method and its dialogue, and the pool.
 *
 *     names ─▶ database, user ─▶ (auth_query) ─▶ method ─▶ dialogue ─▶ pool ─▶ welcome
 *                                                 │ trust, peer, cert: no dialogue
 *                                                 └ reject
 *
 * Whoever is unknown goes through the dialogue too and fails at its end: only who proves a password learns what exists.
 *
 * Counterpart: PgBouncer's `set_pool`, `finish_set_pool`, `finish_client_login`.
 */
import type { ClientLoginStep } from "../auth/client-login.ts";
import { ClientLogin } from "../auth/client-login.ts";
import type { ScramKeys } from "../auth/scram-keys.ts";
import type { StoredSecret } from "../auth/stored-secret.ts";
import { CONSOLE_DATABASE, DATABASE_NAME_BYTES_MAX } from "../config/database-entry.ts";
import { authDbname, authQuery, authUser } from "../config/precedence.ts";
import { AuthType } from "../config/setting-words.ts";
import { USER_NAME_BYTES_MAX } from "../config/user-entry.ts";
import { authenticationRequest } from "../protocol/backend-messages.ts";
import { Frontend } from "../protocol/message-type.ts";
import type { AuthenticationCode } from "../protocol/message-type.ts";
import type { ErrorToSend } from "../protocol/error-messages.ts";
import { AuthQuery } from "./auth-query.ts";
import type { AuthAnswer } from "./auth-query.ts";
import type { Client } from "./client.ts";
import type { Console } from "./console.ts";
import type { Credentials } from "./credentials.ts";
import type { Database } from "./database.ts";
import { certificateProblem, loginMethod, peerProblem } from "./login-method.ts";
import type { ClientConnectionFacts } from "./login-method.ts";
import { PoolerErrors, poolerError } from "./pooler-error.ts";
import type { User } from "./user.ts";

/** A password message may be this long: the longest password, and its framing. */
const LOGIN_MESSAGE_BYTES_MAX = 66 * 1024;

const Phase = {
  /** Password messages are expected. */
  dialogue: "dialogue",
  /** auth_query runs, or a step of the dialogue is being computed. */
  working: "working",
  /** Authenticated; the pool has no welcome yet. */
  greeting: "greeting",
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

export class ClientAuthentication {
  readonly #client: Client;
  readonly #facts: ClientConnectionFacts;
  #phase: Phase = Phase.working;
  #database: Database | null = null;
  #console: Console | null = null;
  #credentials: Credentials | null = null;
  #query: AuthQuery | null = null;
  #login: ClientLogin | null = null;

  constructor(client: Client, facts: ClientConnectionFacts) {
    this.#client = client;
    this.#facts = facts;
  }

  /** It waits for the first login of its pool. */
  get isGreeting(): boolean {
    return this.#phase === Phase.greeting;
  }

  /** Since when its auth_query waits for a server, monotonic ms; null when none does. */
  get queryWaitsSince(): number | null {
    return this.#query === null ? null : this.#query.waitsSince;
  }

  /** What the client named; null: the console, or none that exists. */
  get database(): Database | null {
    return this.#database;
  }

  /** The client has its names and has taken its parameters. */
  start(): void {
    const client = this.#client;
    const userName = client.userName ?? "";
    if (Buffer.byteLength(userName) > USER_NAME_BYTES_MAX) this.#refuseName(client.databaseName ?? "", userName);
    else if (client.databaseName === CONSOLE_DATABASE) this.#beginConsole(userName);
    else this.#beginDatabase(client.databaseName ?? "", userName);
  }

  #refuseName(databaseName: string, userName: string): void {
    const client = this.#client;
    const { log, settings } = client.engine;
    client.fail(poolerError(PoolerErrors.usernameTooLong));
    if (settings.logConnections) log.log(`${client} login failed: db=${databaseName} user=${userName}`);
  }

  /** The client is closing. */
  abandon(): void {
    this.#query?.abandon();
  }

  // ── Who, and to what ────────────────────────────────────────────────────────────────────────────────────────────

  #beginDatabase(databaseName: string, asked: string): void {
    const client = this.#client;
    const { directory, log, settings } = client.engine;
    const database = directory.findDatabase(databaseName);
    let userName = asked;
    if (settings.authType === AuthType.any) {
      // A name that nobody proves is no name: whoever comes is the one that servers are logged in to as.
      const forced = database?.entry.user ?? null;
      if (forced === null) {
        log.error(`${client} auth_type=any requires forced user`);
        client.fail(poolerError(PoolerErrors.configError));
        return;
      }
      userName = forced;
      client.userName = forced;
    }
    const user = directory.findUser(userName);
    const refusal = directory.admit(client, database, user);
    if (refusal !== null) {
      client.fail(refusal);
      return;
    }
    this.#database = database;
    client.user = user;
    this.#findCredentials(userName, user);
  }

  #beginConsole(userName: string): void {
    const client = this.#client;
    const access = client.engine.directory.consoleFor(client, userName);
    if (!access.allowed) {
      // A user that nobody knows learns nothing from the answer.
      if (access.error === null) {
        this.#authenticate(userName);
      } else {
        this.#logAttempt(userName);
        client.fail(access.error);
      }
      return;
    }
    this.#console = access.console;
    client.user = access.user;
    if (access.trusted) this.#succeed(null);
    else this.#findCredentials(userName, access.user);
  }

  // ── What is known of the user ───────────────────────────────────────────────────────────────────────────────────

  #findCredentials(userName: string, user: User | null): void {
    const client = this.#client;
    const { settings } = client.engine;
    const asked = authUser(settings, this.#database?.entry ?? null);
    const { judgedOutside } = loginMethod(client, this.#facts, userName);
    if (judgedOutside && asked !== null) {
      const what = settings.authType === AuthType.pam ? "PAM" : "LDAP";
      client.engine.log.error(`${client} ${what} can't be used together with database authentication`);
      client.fail(poolerError(PoolerErrors.configError));
      return;
    }
    this.#credentials = user;
    const isKnown = settings.authType === AuthType.any || (user !== null && user.secret !== null);
    const mayAsk = asked !== null && (this.#database !== null || this.#console !== null);
    // What was asked before auth_file had it is out of date.
    if (user !== null && user.secret !== null && !judgedOutside) this.#database?.credentials.delete(userName);
    if (isKnown || judgedOutside || !mayAsk) this.#authenticate(userName);
    else this.#ask(asked, userName);
  }

  #ask(askedBy: string, userName: string): void {
    const client = this.#client;
    const { directory, settings } = client.engine;
    const database = this.#authDatabase();
    if (database === null) return;
    const pool = directory.poolFor(database, directory.knownUser(askedBy));
    const text = authQuery(settings, this.#database?.entry ?? null);
    this.#query = new AuthQuery(client, pool, { text, userName }, (answer) => this.#answered(answer));
    this.#query.start();
  }

  /** Where auth_query runs; null when it cannot, which has been said. */
  #authDatabase(): Database | null {
    const client = this.#client;
    const { directory, log, settings } = client.engine;
    const entry = this.#database?.entry ?? null;
    const name = authDbname(settings, entry) ?? entry?.name ?? CONSOLE_DATABASE;
    const database = name === CONSOLE_DATABASE ? null : directory.findDatabase(name);
    if (database !== null && !database.disabled) return database;
    if (database !== null) {
      client.fail(poolerError(PoolerErrors.authDatabaseDisabled, name));
      return null;
    }
    log.error(
      name === CONSOLE_DATABASE
        ? `${client} cannot use the reserved "pgbouncer" database as an auth_dbname`
        : `${client} authentication database "${name}" is not configured.`,
    );
    client.fail(poolerError(PoolerErrors.configError));
    return null;
  }

  #answered(answer: AuthAnswer): void {
    const client = this.#client;
    const { directory, settings, log } = client.engine;
    this.#query = null;
    if (client.isClosed) return;
    switch (answer.kind) {
      case "failed":
        client.fail(answer.error);
        return;
      case "none":
        if (settings.logConnections) log.log(`${client} login failed: db=${client.databaseName}`);
        client.fail(poolerError(PoolerErrors.noSuchUser));
        return;
      case "user": {
        const user = directory.knownUser(answer.name);
        const refusal = user === client.user ? null : directory.admitUser(client, user);
        if (refusal !== null) {
          client.fail(refusal);
          return;
        }
        client.user = user;
        client.userName = answer.name;
        this.#credentials = this.#remember(user, answer.secret);
        this.#authenticate(answer.name);
      }
    }
  }

  /** What was found out about `user` holds for servers of this database too. */
  #remember(user: User, secret: StoredSecret): Credentials {
    if (this.#database === null) return { secret, scramKeys: null };
    const known = this.#database.credentials.get(user.name);
    if (known !== undefined && known.secret?.reveal() === secret.reveal()) return known;
    const found: Credentials = { secret, scramKeys: null };
    this.#database.credentials.set(user.name, found);
    return found;
  }

  // ── The method ──────────────────────────────────────────────────────────────────────────────────────────────────

  #logAttempt(userName: string): void {
    const client = this.#client;
    const { log, settings } = client.engine;
    if (!settings.logConnections) return;
    const tls = client.tls === "" ? "no" : client.tls;
    log.log(
      `${client} login attempt: db=${client.databaseName} user=${userName} tls=${tls} replication=${client.replication}`,
    );
  }

  #authenticate(userName: string): void {
    const client = this.#client;
    const { engine } = client;
    const { log, settings, secrets, world } = engine;
    const secret = this.#credentials?.secret ?? null;
    const method = loginMethod(client, this.#facts, userName);
    if (secret === null && settings.authType !== AuthType.any && !method.judgedOutside) {
      log.log(`${client} no such user: ${userName}`);
    }
    this.#logAttempt(userName);
    switch (method.name) {
      case "none":
      case "reject":
        client.fail(poolerError(PoolerErrors.authentication, method.failure));
        return;
      case "peer":
        this.#conclude(peerProblem(client, this.#facts, userName, secret !== null, method.map), method.failure);
        return;
      case "cert":
        this.#conclude(certificateProblem(this.#facts, userName, secret !== null, method.map), method.failure);
        return;
      default:
        this.#login = new ClientLogin({
          crypto: world.crypto,
          method: method.name,
          user: userName,
          secret,
          hasForcedUser: this.#console !== null || (this.#database?.entry.user ?? null) !== null,
          scramIterations: settings.scramIterations,
          verifiers: secrets.verifiers,
          mockSecret: secrets.mock,
          outside: method.outside,
        });
        this.#phase = Phase.dialogue;
        this.#follow(this.#login.start());
        // Who does not wait for the question may have answered it already.
        if (!client.isClosed) this.received();
    }
  }

  /** The end of a method without a dialogue. */
  #conclude(problem: string | null, failure: string): void {
    const client = this.#client;
    if (problem === null) {
      this.#succeed(null);
      return;
    }
    client.engine.log.error(`${client} ${problem}`);
    client.fail(poolerError(PoolerErrors.authentication, failure));
  }

  // ── The dialogue ────────────────────────────────────────────────────────────────────────────────────────────────

  /** Bytes have come; they are in the client's framer. */
  received(): void {
    const client = this.#client;
    if (client.framer.pending > LOGIN_MESSAGE_BYTES_MAX) {
      client.fail(poolerError(PoolerErrors.badHeader, "login message too long"));
    } else {
      this.#readMessages();
    }
  }

  #readMessages(): void {
    const client = this.#client;
    const { framer } = client;
    if (this.#phase !== Phase.dialogue) return;
    if (framer.pending > 0 && framer.buf[framer.at] === 0) {
      // It has no type byte, so what looks like its length is none.
      client.fail(poolerError(PoolerErrors.resentStartup));
      return;
    }
    while (this.#phase === Phase.dialogue && !client.isClosed && framer.next(LOGIN_MESSAGE_BYTES_MAX)) {
      if (framer.type !== Frontend.Password) {
        if (framer.type === Frontend.Terminate) client.close("client close request");
        else client.fail(poolerError(PoolerErrors.unknownPacket));
        return;
      }
      if (!framer.whole) {
        framer.hold();
        continue;
      }
      const body = framer.buf.subarray(framer.at + 5, framer.at + framer.size);
      framer.advance();
      const step = this.#login?.receive(body);
      if (step instanceof Promise) this.#wait(step);
      else if (step !== undefined) this.#follow(step);
    }
    if (framer.broken && !client.isClosed) client.fail(poolerError(PoolerErrors.badHeader, "login message"));
  }

  #wait(step: Promise<ClientLoginStep>): void {
    this.#phase = Phase.working;
    void step.then((computed) => {
      if (this.#client.isClosed) return;
      this.#phase = Phase.dialogue;
      this.#follow(computed);
      this.#readMessages();
    });
  }

  #follow(step: ClientLoginStep): void {
    const client = this.#client;
    switch (step.kind) {
      case "ask":
        client.send(authenticationRequest(step.request.code as AuthenticationCode, step.request.payload));
        return;
      case "fail":
        if (step.log !== null) client.engine.log.error(`${client} ${step.log}`);
        client.fail(poolerError(PoolerErrors.authentication, step.message));
        return;
      case "ok": {
        if (step.log !== null) client.engine.log.log(`${client} ${step.log}`);
        const refusal = step.password === null ? null : this.#keepPassword(step.password);
        if (refusal !== null) {
          client.fail(refusal);
          return;
        }
        if (step.request !== null) {
          client.send(authenticationRequest(step.request.code as AuthenticationCode, step.request.payload));
        }
        this.#succeed(step.scramKeys);
      }
    }
  }

  /** A directory or the system has judged this password: PostgreSQL may ask for it too. */
  #keepPassword(password: StoredSecret): ErrorToSend | null {
    const client = this.#client;
    const { directory } = client.engine;
    const user = directory.knownUser(client.userName ?? "");
    const refusal = user === client.user ? null : directory.admitUser(client, user);
    if (refusal !== null) return refusal;
    client.user = user;
    this.#credentials = this.#remember(user, password);
    return null;
  }

  // ── The end ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #succeed(scramKeys: ScramKeys | null): void {
    const client = this.#client;
    const { directory } = client.engine;
    this.#login = null;
    this.#phase = Phase.greeting;
    const closed = directory.closedFor(client);
    if (closed !== null) {
      client.fail(closed);
      return;
    }
    if (this.#console !== null) {
      client.enterConsole(this.#console);
      return;
    }
    const database = this.#database;
    if (database === null) {
      // Only who has proved a password learns what does not exist.
      const name = (client.databaseName ?? "").slice(0, DATABASE_NAME_BYTES_MAX);
      if (client.engine.settings.logConnections) {
        client.engine.log.log(`${client} login failed: db=${name} user=${client.userName}`);
      }
      client.fail(poolerError(PoolerErrors.noSuchDatabase, name));
      return;
    }
    if (database.disabled) {
      client.fail(poolerError(PoolerErrors.databaseDisabled, database.name));
      return;
    }
    const forced = database.entry.user;
    if (scramKeys !== null && this.#credentials !== null && forced === null) this.#credentials.scramKeys = scramKeys;
    const poolUser = forced === null ? client.user : directory.findUser(forced);
    if (poolUser === null) {
      client.fail(poolerError(PoolerErrors.configError));
      return;
    }
    client.enter(directory.poolFor(database, poolUser));
  }
}
