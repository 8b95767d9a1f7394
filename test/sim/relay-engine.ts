/**
 * The stand-in for an engine: one server connection for each client, bytes passed on as they come.
 *
 * With it the simulator, its server and its clients are proved by themselves: through a relay that is right no law may
 * ever be broken. Its parts are methods so that a test can break them one at a time.
 */
import type { Connection, ConnectionEvents, Listener } from "../../src/net/transport.ts";
import type { EngineKind, EngineSetup, EngineUnderTest, EngineView } from "./engine-under-test.ts";

/** Above this much held the other side is not read. */
const HELD_MAX_BYTES = 16_384;

/** One direction's end: what arrives here goes to `other`. */
export class RelayEnd implements ConnectionEvents {
  readonly relay: RelayEngine;
  connection: Connection | null = null;
  other: RelayEnd | null = null;
  opened = false;
  closed = false;

  constructor(relay: RelayEngine) {
    this.relay = relay;
  }

  onOpen(): void {
    this.opened = true;
    this.other?.connection?.resume();
  }

  onSecure(): void {}

  onData(bytes: Uint8Array): void {
    this.pass(bytes);
  }

  /** Hands bytes to the other end and stops reading when they do not leave. */
  pass(bytes: Uint8Array): void {
    const { other } = this;
    if (other === null || other.closed || other.connection === null) return;
    if (other.connection.write(bytes) > HELD_MAX_BYTES) this.connection?.pause();
  }

  onDrain(): void {
    this.other?.connection?.resume();
  }

  onEnd(): void {
    this.other?.connection?.end();
    this.connection?.end();
  }

  onClose(error: Error | null): void {
    this.closed = true;
    this.relay.ends.delete(this);
    this.part(error);
  }

  /** This end is gone: the other follows, behind what it still has to send. */
  part(error: Error | null): void {
    if (error === null) this.other?.connection?.end();
    else this.other?.connection?.destroy();
  }
}

export class RelayEngine implements EngineUnderTest {
  readonly ends = new Set<RelayEnd>();
  readonly setup: EngineSetup;
  #listener: Listener | null = null;

  constructor(setup: EngineSetup) {
    this.setup = setup;
  }

  async start(): Promise<void> {
    this.#listener = await this.setup.world.transport.listen(this.setup.listenAt, {}, (connection) =>
      this.accept(connection),
    );
  }

  accept(connection: Connection): ConnectionEvents {
    const near = new RelayEnd(this);
    const far = new RelayEnd(this);
    near.other = far;
    far.other = near;
    near.opened = true;
    near.connection = connection;
    connection.pause();
    far.connection = this.setup.world.transport.connect(this.setup.serverAt, far);
    this.ends.add(near);
    this.ends.add(far);
    return near;
  }

  inspect(): EngineView | null {
    return null;
  }

  isShared(): boolean {
    return false;
  }

  sharingFigures(): ReadonlyMap<string, number> {
    return new Map();
  }

  /** A relay takes no commands. */
  command(): void {}

  stop(): void {
    this.#listener?.close();
    for (const end of this.ends) end.connection?.destroy();
  }
}

export const relayKind: EngineKind = {
  name: "relay",
  pools: false,
  judgesMessages: false,
  start: async (setup) => {
    const engine = new RelayEngine(setup);
    await engine.start();
    return engine;
  },
};
