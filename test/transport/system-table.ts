/**
 * The table of tests of `src/net/transport.ts`, part three: what only a real system has: descriptors, Unix sockets,
 * addresses that are not ours.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { benches } from "./subject.ts";
import type { Subject } from "./subject.ts";

export function describeSystem(subject: Subject): void {
  const bench = benches(subject);
  const canShare = !/^v(20|21|22\.([0-9]|1[01])\.)/.test(process.version);
  let folder = "";

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "transport-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  describe("descriptors", () => {
    test("are known while open and -1 once closed", async () => {
      const { client, server, listener } = await bench().pair();
      const all = [client.wire.fd, server.wire.fd, listener.fd];
      expect(all.every((fd) => fd > 2)).toBe(true);
      expect(new Set(all).size).toBe(3);
      client.wire.destroy();
      server.wire.destroy();
      listener.close();
      await bench().until(() => client.closed && server.closed, "both closes");
      expect([client.wire.fd, server.wire.fd, listener.fd]).toEqual([-1, -1, -1]);
    });

    test("a connection abandoned before it opened keeps none", async () => {
      const listener = await bench().listen();
      const recorder = bench().connect(bench().to(listener));
      recorder.wire.destroy();
      await bench().until(() => recorder.closed, "the close");
      expect(recorder.wire.fd).toBe(-1);
      const accepted = bench().accepted.length === 0 ? null : bench().accepted[0];
      if (accepted) await bench().until(() => accepted.ended || accepted.closed, "the peer's end");
    });

    test("an inherited listener accepts", async () => {
      const first = await bench().listen();
      const { port } = first;
      const inherited = duplicate(first.fd);
      first.close();
      const listener = await bench().listen({ fd: inherited });
      expect(listener.port).toBe(port);
      const client = bench().connect(bench().to(listener));
      await bench().until(() => client.opened && bench().accepted.length === 1, "the connection");
    });

    test("an inherited connection opens and works, and outlives the one it was taken from", async () => {
      const { client, server } = await bench().pair();
      const taken = bench().connect({ fd: duplicate(client.wire.fd) });
      expect(taken.log).toEqual([]);
      await bench().until(() => taken.opened, "onOpen");
      client.wire.destroy();
      await bench().until(() => client.closed, "the close of the old one");
      taken.wire.write(Buffer.from("from the new owner"));
      await bench().until(() => server.sizeBytes === 18, "the bytes");
      server.wire.write(Buffer.from("to the new owner"));
      await bench().until(() => taken.sizeBytes === 16, "the bytes back");
      expect(server.ended).toBe(false);
      expect(taken.wire.remote).toEqual(server.wire.local);
    });
  });

  describe("Unix sockets", () => {
    test("carry bytes both ways; their ends have no address", async () => {
      const path = join(folder, ".s.PGSQL.6432");
      const { client, server, listener } = await bench().pair({ path });
      expect(statSync(path).isSocket()).toBe(true);
      expect(listener.port).toBe(0);
      expect(server.wire.remote).toEqual({ address: "", port: 0 });
      expect(client.wire.remote).toEqual({ address: "", port: 0 });
      client.wire.write(Buffer.from("question"));
      await bench().until(() => server.sizeBytes === 8, "the question");
      server.wire.write(Buffer.from("answer"));
      server.wire.end();
      await bench().until(() => client.ended, "the FIN");
      expect(client.text).toBe("answer");
    });

    test("abstract names leave no file", async () => {
      const { client, server } = await bench().pair({ path: `\0transport-test-${folder}` });
      client.wire.write(Buffer.from("x"));
      await bench().until(() => server.sizeBytes === 1, "the byte");
      expect(readdirSync(folder)).toEqual([]);
    });

    test("the file is gone after the close", async () => {
      const path = join(folder, "gone");
      const listener = await bench().listen({ path });
      expect(existsSync(path)).toBe(true);
      listener.close();
      await bench().until(() => !existsSync(path), "the file to go");
    });

    test("no file is ENOENT, a file nobody listens at ECONNREFUSED", async () => {
      const missing = bench().connect({ path: join(folder, "missing") });
      await bench().until(() => missing.closed, "the failure");
      expect(missing.error?.code).toBe("ENOENT");
      expect(missing.log).toEqual(["close"]);
    });

    test("a place that is taken is EADDRINUSE", async () => {
      const path = join(folder, "taken");
      await bench().listen({ path });
      await expect(bench().listen({ path })).rejects.toMatchObject({ code: "EADDRINUSE" });
    });

    test("a name that is too long is an error", async () => {
      const path = join(folder, "n".repeat(120));
      await expect(bench().listen({ path })).rejects.toMatchObject({ code: "EINVAL" });
      const recorder = bench().connect({ path });
      await bench().until(() => recorder.closed, "the failure");
      expect(recorder.error?.code).toBe("EINVAL");
    });
  });

  describe("callbacks that throw with no connection left to pay", () => {
    let warnings: string[] = [];
    const listen = (warning: Error): void => void warnings.push(warning.message);
    beforeEach(() => {
      warnings = [];
      process.on("warning", listen);
    });
    afterEach(() => {
      process.off("warning", listen);
    });

    test("onClose: the process warns and goes on", async () => {
      const { client } = await bench().pair();
      client.whenClose = () => {
        throw new Error("a fault in onClose");
      };
      client.wire.destroy();
      await bench().until(() => warnings.length > 0, "the warning");
      expect(warnings.join()).toContain("onClose threw: Error: a fault in onClose");
    });

    test("accept: the connection is closed, the listener goes on", async () => {
      const listener = await bench().listen();
      bench().whenAccepted = () => {
        bench().whenAccepted = null;
        throw new Error("a fault in accept");
      };
      const unlucky = bench().connect(bench().to(listener));
      await bench().until(() => (unlucky.ended || unlucky.closed) && warnings.length > 0, "the close");
      expect(warnings.join()).toContain("accept threw: Error: a fault in accept");
      const next = bench().connect(bench().to(listener));
      await bench().until(() => next.opened && bench().accepted.length === 2, "the next one");
    });
  });

  describe("addresses", () => {
    test("one that is not this machine's is EADDRNOTAVAIL", async () => {
      await expect(bench().listen({ host: "192.0.2.1", port: 0 })).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
    });

    test("an impossible port fails like any connect", async () => {
      const recorder = bench().connect({ host: "127.0.0.1", port: 70_000 });
      expect(recorder.log).toEqual([]);
      await bench().until(() => recorder.closed, "the failure");
      expect(recorder.error).toBeInstanceOf(Error);
      expect(recorder.log).toEqual(["close"]);
    });

    test("a listener takes a backlog: no more than so many connections wait in the system", async () => {
      const listener = await bench().listen(undefined, { backlog: 7 });
      // What `ss -l` shows as Send-Q, from the same source: the limit of the queue of a listening socket.
      const client = bench().connect(bench().to(listener));
      await bench().until(() => client.opened, "the connection");
      expect(backlogOf(listener.fd)).toBe(7);
    });

    test("IPv6, alone or with IPv4", async () => {
      const both = await bench().listen({ host: "::", port: 0 });
      const mapped = bench().connect({ host: "127.0.0.1", port: both.port });
      await bench().until(() => mapped.opened, "IPv4 on a socket for both");
      const alone = await bench().listen({ host: "::", port: 0 }, { ipv6Only: true });
      const refused = bench().connect({ host: "127.0.0.1", port: alone.port });
      await bench().until(() => refused.closed, "the refusal");
      expect(refused.error?.code).toBe("ECONNREFUSED");
      const native = bench().connect({ host: "::1", port: alone.port });
      await bench().until(() => native.opened, "IPv6");
      expect(native.wire.remote).toEqual({ address: "::1", port: alone.port });
    });

    test.runIf(canShare)("several listeners may share a port", async () => {
      const first = await bench().listen(undefined, { reusePort: true });
      const second = await bench().listen(bench().to(first), { reusePort: true });
      expect(second.port).toBe(first.port);
    });

    test.runIf(!canShare)("Node before 22.12 says that listeners cannot share a port", async () => {
      await expect(bench().listen(undefined, { reusePort: true })).rejects.toMatchObject({ code: "ENOTSUP" });
    });
  });
}

/** tcpi_sacked of TCP_INFO: for a listening socket the limit of its accept queue (tcp(7), ss.c). */
function backlogOf(fd: number): number {
  const koffi = createRequire(import.meta.url)("koffi") as {
    load(path: null): { func(definition: string): (...values: unknown[]) => number };
  };
  const info = Buffer.alloc(104);
  const length = new Uint32Array([info.length]);
  koffi.load(null).func("int getsockopt(int, int, int, void *, void *)")(fd, 6, 11, info, length);
  return info.readUInt32LE(28);
}

/** dup(2), as systemd or a starting successor would hand a descriptor over. */
function duplicate(fd: number): number {
  const koffi = createRequire(import.meta.url)("koffi") as {
    load(path: null): { func(definition: string): (fd: number) => number };
  };
  return koffi.load(null).func("int dup(int)")(fd);
}
