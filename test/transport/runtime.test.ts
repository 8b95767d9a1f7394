/**
 * The transport of the runtime these tests run in, at the shared table: Node's under Node, Bun's inside Bun.
 */
import { runtimeName } from "../../src/net/world-of-runtime.ts";
import { BunTransport } from "../../src/net/bun-transport.ts";
import { Libc } from "../../src/net/libc.ts";
import { NodeTransport } from "../../src/net/node-transport.ts";
import type { Subject } from "./subject.ts";
import { describeTransport } from "./table.ts";

const DEADLINE_MS = 8000;
/** Loopback delivers at once; this is many turns of the event loop. */
const QUIET_MS = 40;

const subject: Subject = {
  createTransport: () => (runtimeName() === "bun" ? new BunTransport(new Libc()) : new NodeTransport()),
  choosesTls13Ciphers: runtimeName() === "node",
  anywhere: { host: "127.0.0.1", port: 0 },
  async until(condition, what) {
    const deadline = performance.now() + DEADLINE_MS;
    while (!condition()) {
      if (performance.now() > deadline) throw new Error(`waited in vain for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  },
  quiet: () => new Promise((resolve) => setTimeout(resolve, QUIET_MS)),
};

describeTransport(subject, { tls: true, system: true });
