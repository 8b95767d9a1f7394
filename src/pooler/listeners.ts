/**
 * Where clients come in: the TCP addresses of `listen_addr` and the Unix socket.
 *
 * Counterpart: PgBouncer's `pooler.c`. Start-up texts are its own.
 */
import { chmodSync, chownSync, existsSync, unlinkSync } from "node:fs";
import { systemErrorText } from "../log/system-error.ts";
import { socketPath } from "../config/server-address.ts";
import type { Connection, ConnectionEvents, Listener } from "../net/transport.ts";
import type { Engine } from "../session/engine.ts";
import { Client } from "../session/client.ts";
import { socketOptions } from "../session/socket-options.ts";
import { findGroup } from "../net/system-user.ts";
import type { Residents } from "./residents.ts";

export class Listeners {
  readonly #engine: Engine;
  readonly #residents: Residents;
  readonly #tcp: Listener[] = [];
  #unix: Listener | null = null;
  #unixPath = "";

  constructor(engine: Engine, residents: Residents) {
    this.#engine = engine;
    this.#residents = residents;
  }

  /** Opens all. Returns why the process cannot run, null when it can. */
  async open(): Promise<string | null> {
    const { settings } = this.#engine;
    const failure = (await this.#openTcp()) ?? (await this.#openUnix());
    if (failure !== null) return failure;
    if (this.#tcp.length === 0 && this.#unix === null) return "nowhere to listen on";
    return settings.listenPort < 0 ? "invalid listen_port" : null;
  }

  async #openTcp(): Promise<string | null> {
    const { log, settings, world } = this.#engine;
    const { names } = settings.listenAddr;
    for (const name of names) {
      const hosts = name === "*" ? ["0.0.0.0", "::"] : await this.#resolve(name);
      for (const host of hosts) {
        try {
          const listener = await world.transport.listen(
            { host, port: settings.listenPort },
            { backlog: settings.listenBacklog, reusePort: settings.soReuseport, ipv6Only: host.includes(":") },
            (connection) => this.#accept(connection, false),
          );
          this.#tcp.push(listener);
          this.#setOptions(listener);
          log.log(`listening on ${host.includes(":") ? `[${host}]` : host}:${listener.port}`);
        } catch (error) {
          log.warning(`cannot listen on ${host}:${settings.listenPort}: bind(): ${systemErrorText(error)}`);
        }
      }
    }
    if (names.length > 0 && this.#tcp.length === 0) {
      return `failed to listen on any address in listen_addr list: ${settings.listenAddr.text}`;
    }
    return null;
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
    const { log, settings, world } = this.#engine;
    if (settings.unixSocketDir === "") return null;
    const path = socketPath(settings.unixSocketDir, settings.listenPort);
    const abstract = path.startsWith("@");
    if (!abstract) {
      if (existsSync(`${path}.lock`)) return `unix port ${settings.listenPort} is in use`;
      // Whether somebody lives behind it has been tried before: what is here is stale.
      if (existsSync(path)) unlinkSync(path);
    }
    try {
      this.#unix = await world.transport.listen(
        { path: abstract ? `\0${path.slice(1)}` : path },
        { backlog: settings.listenBacklog },
        (connection) => this.#accept(connection, true),
      );
      if (!abstract) {
        this.#unixPath = path;
        chmodSync(path, settings.unixSocketMode);
        const refusal = this.#applyGroup(path, settings.unixSocketGroup);
        if (refusal !== null) return refusal;
      }
    } catch (error) {
      return `failed to create unix socket: ${path}: ${systemErrorText(error)}`;
    }
    log.log(`listening on unix:${path}`);
    return null;
  }

  /** `unix_socket_group`: a name or a number. */
  #applyGroup(path: string, group: string): string | null {
    if (group === "") return null;
    const gid = /^\d+$/.test(group) ? Number(group) : findGroup(group);
    if (gid === null) return `unix_socket_group: unknown group "${group}"`;
    chownSync(path, -1, gid);
    return null;
  }

  #accept(connection: Connection, isUnixSocket: boolean): ConnectionEvents {
    const { settings } = this.#engine;
    const client = new Client(this.#engine, connection, isUnixSocket, settings.listenPort);
    this.#residents.clients.add(client);
    return client;
  }

  /** What is accepted inherits the listener's options: no call for each connection. */
  #setOptions(listener: Listener): void {
    const { settings, world } = this.#engine;
    world.setSocketOptions(listener.fd, { ...socketOptions(settings), deferAccept: settings.tcpDeferAccept });
  }

  /** The settings have changed: sockets accepted from now on follow them. */
  refresh(): void {
    for (const listener of this.#tcp) this.#setOptions(listener);
  }

  /** The ports that were opened, for whoever asked for port 0. */
  get ports(): readonly number[] {
    return this.#tcp.map((listener) => listener.port);
  }

  /** A shutdown takes no new clients over TCP; the console stays reachable over the Unix socket. */
  closeTcp(): void {
    for (const listener of this.#tcp) listener.close();
    this.#tcp.length = 0;
  }

  close(): void {
    this.closeTcp();
    this.#unix?.close();
    this.#unix = null;
    if (this.#unixPath !== "" && existsSync(this.#unixPath)) unlinkSync(this.#unixPath);
    this.#unixPath = "";
  }
}
