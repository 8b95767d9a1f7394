/**
 * Where clients come in: the TCP addresses of `listen_addr` and the Unix socket, or the sockets that a service manager
 * has passed on.
 *
 * When descriptors run out nobody is accepted for a while (`accept-pause.ts`). Counterpart: PgBouncer's `pooler.c`;
 * start-up texts are its own.
 */
import { chmodSync, chownSync, existsSync, lstatSync, unlinkSync } from "node:fs";
import { LogLevel } from "../log/log-level.ts";
import { systemErrorText } from "../log/system-error.ts";
import { socketPath } from "../config/server-address.ts";
import type { Address, Connection, ConnectionEvents, Listener } from "../net/transport.ts";
import type { Engine } from "../session/engine.ts";
import { Client } from "../session/client.ts";
import { socketOptions } from "../session/socket-options.ts";
import { findGroup } from "../net/system-user.ts";
import { AcceptPause } from "./accept-pause.ts";
import type { Descriptors } from "./accept-pause.ts";
import type { Residents } from "./residents.ts";

/** A listening socket that this process was started with. */
export interface InheritedSocket {
  readonly fd: number;
  readonly isUnixSocket: boolean;
  /** A literal address, or "unix"; absent where it is not known. */
  readonly address?: string;
}

/** What the process has of its own to listen with. */
export interface ListeningMeans {
  /** When there are some, `listen_addr` and `unix_socket_dir` are not opened. */
  readonly inherited?: readonly InheritedSocket[];
  /** Absent: accepting is never paused. */
  readonly descriptors?: Descriptors;
}

/** PgBouncer's default, which may stand in the configuration unasked. */
const DEFAULT_SOCKET_FOLDER = "/tmp";

/** An open listener, and what it takes to close and open it again. */
export interface Door {
  listener: Listener;
  readonly isUnixSocket: boolean;
  /** As it was asked for: a literal address, "unix"; "" where another process has opened it. */
  address: string;
  /** Its file, when it is a Unix socket that has one. */
  path: string;
}

export class Listeners {
  readonly #engine: Engine;
  readonly #residents: Residents;
  readonly #inherited: readonly InheritedSocket[];
  readonly #pause: AcceptPause | null;
  #doors: Door[] = [];

  constructor(engine: Engine, residents: Residents, means: ListeningMeans = {}) {
    this.#engine = engine;
    this.#residents = residents;
    this.#inherited = means.inherited ?? [];
    this.#pause =
      means.descriptors === undefined
        ? null
        : new AcceptPause(engine, means.descriptors, (door, fd) => this.#reopen(door, fd));
  }

  /**
   * Opens all; or, where another process has handed them over, only `handed`. Returns why the process cannot run, null when it
   * can.
   */
  async open(handed: readonly InheritedSocket[] | null = null): Promise<string | null> {
    const { settings } = this.#engine;
    const failure =
      handed !== null
        ? await this.#useHanded(handed)
        : this.#inherited.length > 0
          ? await this.#useInherited()
          : ((await this.#openTcp()) ?? (await this.#openUnix()));
    if (failure !== null) return failure;
    if (this.#doors.length === 0) return "nowhere to listen on";
    if (settings.listenPort < 0) return "invalid listen_port";
    this.#pause?.start(this.#doors);
    return null;
  }

  async #useInherited(): Promise<string | null> {
    const { log, settings } = this.#engine;
    if (settings.listenAddr.names.length > 0)
      log.warning("sockets passed from service manager, cf_listen_addr ignored");
    if (settings.unixSocketDir !== "" && settings.unixSocketDir !== DEFAULT_SOCKET_FOLDER)
      log.warning("sockets passed from service manager, cf_unix_socket_dir ignored");
    for (const { fd, isUnixSocket } of this.#inherited) {
      try {
        await this.#openDoor({ fd }, isUnixSocket);
      } catch {
        return `failed to set up socket passed from service manager (fd ${fd})`;
      }
      log.log(`socket passed from service manager (fd ${fd})`);
    }
    return null;
  }

  async #useHanded(sockets: readonly InheritedSocket[]): Promise<string | null> {
    const { settings } = this.#engine;
    const path = settings.unixSocketDir === "" ? "" : socketPath(settings.unixSocketDir, settings.listenPort);
    for (const { fd, isUnixSocket, address = "" } of sockets) {
      try {
        const door = await this.#openDoor({ fd }, isUnixSocket);
        door.address = address;
        // The file is this process's to be removed now.
        if (isUnixSocket && !path.startsWith("@")) door.path = path;
      } catch (error) {
        return `cannot use the socket of ${address} that was handed over: ${systemErrorText(error)}`;
      }
    }
    return null;
  }

  async #openTcp(): Promise<string | null> {
    const { log, settings } = this.#engine;
    const { names, text } = settings.listenAddr;
    for (const name of names) {
      const hosts = name === "*" ? ["0.0.0.0", "::"] : await this.#resolve(name);
      for (const host of hosts) {
        const shown = host.includes(":") ? `[${host}]` : host;
        try {
          const door = await this.#openDoor({ host, port: settings.listenPort }, false);
          log.log(`listening on ${shown}:${door.listener.port}`);
        } catch (error) {
          log.warning(`cannot listen on ${shown}:${settings.listenPort}: bind(): ${systemErrorText(error)}`);
        }
      }
    }
    return names.length > 0 && this.#doors.length === 0
      ? `failed to listen on any address in listen_addr list: ${text}`
      : null;
  }

  async #resolve(name: string): Promise<readonly string[]> {
    try {
      return await this.#engine.world.resolve(name);
    } catch (error) {
      this.#engine.log.warning(`cannot resolve ${name}: ${(error as Error).message}`);
      return [];
    }
  }

  async #openUnix(): Promise<string | null> {
    const { log, settings } = this.#engine;
    if (settings.unixSocketDir === "") return null;
    const path = socketPath(settings.unixSocketDir, settings.listenPort);
    const abstract = path.startsWith("@");
    try {
      if (abstract) {
        await this.#openDoor({ path: `\0${path.slice(1)}` }, true);
      } else {
        if (existsSync(`${path}.lock`)) return `unix port ${settings.listenPort} is in use`;
        // Whether somebody lives behind it has been tried before: what is here is stale.
        if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) unlinkSync(path);
        const door = await this.#openDoor({ path }, true);
        await this.#pause?.keepFile(door);
      }
    } catch (error) {
      log.warning(`cannot listen on unix:${path}: bind(): ${systemErrorText(error)}`);
      return "failed to create unix socket";
    }
    const refusal = abstract ? null : applyPermissions(path, settings.unixSocketMode, settings.unixSocketGroup);
    if (refusal !== null) return refusal;
    log.log(`listening on unix:${path}`);
    return null;
  }

  async #openDoor(at: Address, isUnixSocket: boolean): Promise<Door> {
    const listener = await this.#listen(at, isUnixSocket);
    const path = "path" in at && !at.path.startsWith("\0") ? at.path : "";
    const address = isUnixSocket ? "unix" : "host" in at ? at.host : "";
    const door: Door = { listener, isUnixSocket, address, path };
    this.#doors.push(door);
    return door;
  }

  async #listen(at: Address, isUnixSocket: boolean): Promise<Listener> {
    const { settings, world } = this.#engine;
    let listening: Listener | null = null;
    const listener = await world.transport.listen(
      at,
      {
        backlog: settings.listenBacklog,
        ...("host" in at ? { reusePort: settings.soReuseport, ipv6Only: at.host.includes(":") } : {}),
      },
      (connection) => this.#accept(connection, isUnixSocket, listening),
    );
    listening = listener;
    if (!isUnixSocket) this.#setOptions(listener);
    return listener;
  }

  async #reopen(door: Door, fd: number): Promise<void> {
    const listener = await this.#listen({ fd }, door.isUnixSocket);
    if (this.#doors.includes(door)) door.listener = listener;
    else listener.close();
  }

  #accept(connection: Connection, isUnixSocket: boolean, from: Listener | null): ConnectionEvents {
    const { log, settings, world } = this.#engine;
    if (!isUnixSocket && settings.tcpSocketBuffer > 0) world.setSocketOptions(connection.fd, socketOptions(settings));
    if (log.verbose > 2) {
      const { address, port } = connection.remote;
      log.noise(`safe_accept(${from?.fd}) = ${connection.fd} (${isUnixSocket ? "unix" : `${address}:${port}`})`);
    }
    if (log.shows(LogLevel.noise)) log.noise(`new fd from accept=${connection.fd}`);
    const client = new Client(this.#engine, connection, isUnixSocket, settings.listenPort);
    this.#residents.clients.add(client);
    if (log.shows(LogLevel.debug)) log.debug(`${client} P: got connection: ${addressPair(connection, isUnixSocket)}`);
    this.#pause?.accepted(connection.fd);
    return client;
  }

  /** What is accepted inherits the listener's options: no call for each connection, unless its buffers depend on its segments. */
  #setOptions(listener: Listener): void {
    const { settings, world } = this.#engine;
    world.setSocketOptions(listener.fd, { ...socketOptions(settings), deferAccept: settings.tcpDeferAccept });
  }

  /** The settings have changed: sockets accepted from now on follow them. */
  refresh(): void {
    for (const { listener, isUnixSocket } of this.#doors) if (!isUnixSocket) this.#setOptions(listener);
  }

  /** Nobody is accepted, and who comes waits in the kernel, before `goOn`. Where that cannot be, they are accepted. */
  rest(): void {
    this.#pause?.hold();
  }

  goOn(): void {
    this.#pause?.release();
  }

  /** The open doors, and the descriptor that keeps each one's socket. */
  get descriptors(): readonly (readonly [door: Door, fd: number])[] {
    return this.#doors.map((door) => [door, this.#pause?.descriptorOf(door) ?? door.listener.fd] as const);
  }

  /** The TCP ports that were opened, for whoever asked for port 0. */
  get ports(): readonly number[] {
    return this.#doors.filter(({ isUnixSocket }) => !isUnixSocket).map(({ listener }) => listener.port);
  }

  /** A shutdown takes no new clients over TCP; the console stays reachable over the Unix socket. */
  closeTcp(): void {
    this.#close((door) => !door.isUnixSocket);
  }

  close(): void {
    this.#close(() => true);
    this.#pause?.stop();
  }

  #close(which: (door: Door) => boolean): void {
    const doors = this.#doors.filter(which);
    this.#doors = this.#doors.filter((door) => !which(door));
    for (const door of doors) {
      this.#pause?.forget(door);
      door.listener.close();
      if (door.path !== "" && existsSync(door.path)) unlinkSync(door.path);
    }
  }
}

/** `unix_socket_mode` and `unix_socket_group` (a name or a number). Why they cannot be applied, null when they were. */
function applyPermissions(path: string, mode: number, group: string): string | null {
  if (group !== "") {
    const gid = /^\d+$/.test(group) ? Number(group) : findGroup(group);
    if (gid === null) return `could not find group '${group}'`;
    try {
      chownSync(path, -1, gid);
    } catch (error) {
      return `chown(${path}, -1, ${gid}) failed: ${systemErrorText(error)}`;
    }
  }
  try {
    chmodSync(path, mode);
  } catch (error) {
    return `failure to chmod(${path}, 0${mode.toString(8)}): ${systemErrorText(error)}`;
  }
  return null;
}

function addressPair({ remote, local }: Connection, isUnixSocket: boolean): string {
  if (isUnixSocket) return "unix->unix";
  return `${remote.address}:${remote.port} -> ${local.address}:${local.port}`;
}
