/**
 * The table of tests of `src/net/transport.ts`, part one: plain connections, on any transport, real or simulated.
 */
import { describe, expect, test } from "vitest";
import type { Listener } from "../../src/net/transport.ts";
import { Recorder } from "./recorder.ts";
import { benches, pattern } from "./subject.ts";
import type { Bench, Subject } from "./subject.ts";

const MEGABYTE = 1024 * 1024;

export function describePlain(subject: Subject): void {
  const bench = benches(subject);

  describe("opening", () => {
    test("a listener at port 0 says which port it got", async () => {
      const listener = await bench().listen();
      expect(listener.port).toBeGreaterThan(0);
    });

    test("connect calls nothing back before it has returned", async () => {
      const listener = await bench().listen();
      const recorder = new Recorder();
      const connection = bench().transport.connect(bench().to(listener), recorder);
      expect(recorder.log).toEqual([]);
      await bench().until(() => recorder.opened, "the connection");
      connection.destroy();
      expect(recorder.log).toEqual(["open"]);
    });

    test("an accepted connection gets no onOpen", async () => {
      const { server } = await bench().pair();
      await bench().quiet();
      expect(server.log).toEqual([]);
    });

    test("both ends know each other's addresses, also after the close", async () => {
      const { client, server, listener } = await bench().pair();
      expect(client.wire.remote).toEqual({ address: subject.anywhere.host, port: listener.port });
      expect(server.wire.local).toEqual(client.wire.remote);
      expect(server.wire.remote).toEqual(client.wire.local);
      expect(server.wire.remote.port).toBeGreaterThan(0);
      const { remote } = server.wire;
      client.wire.destroy();
      server.wire.destroy();
      await bench().until(() => server.closed, "the close");
      expect(server.wire.remote).toEqual(remote);
    });

    test("a refused connect ends in onClose alone, with ECONNREFUSED", async () => {
      const refused = bench().connect(await closedPort(bench()));
      expect(refused.log).toEqual([]);
      await bench().until(() => refused.closed, "the refusal");
      expect(refused.log).toEqual(["close"]);
      expect(refused.error?.code).toBe("ECONNREFUSED");
    });

    test("a connect destroyed at once never opens", async () => {
      const listener = await bench().listen();
      const recorder = bench().connect(bench().to(listener));
      recorder.wire.destroy();
      expect(recorder.log).toEqual([]);
      await bench().until(() => recorder.closed, "the close");
      await bench().quiet();
      expect(recorder.log).toEqual(["close"]);
      expect(recorder.error).toBeNull();
    });

    test("a refused connect destroyed at once closes without an error, once", async () => {
      const recorder = bench().connect(await closedPort(bench()));
      recorder.wire.destroy();
      await bench().until(() => recorder.closed, "the close");
      await bench().quiet();
      expect(recorder.log).toEqual(["close"]);
      expect(recorder.error).toBeNull();
    });

    test("what is written while connecting is sent, and so is an end", async () => {
      const listener = await bench().listen();
      const talking = bench().connect(bench().to(listener));
      talking.wire.write(Buffer.from("early "));
      talking.wire.write(Buffer.from("words"));
      talking.wire.end();
      const silent = bench().connect(bench().to(listener));
      silent.wire.end();
      await bench().until(() => bench().accepted.filter(({ ended }) => ended).length === 2, "both ends");
      expect(
        bench()
          .accepted.map(({ text }) => text)
          .sort(),
      ).toEqual(["", "early words"]);
      expect([talking.log[0], silent.log[0]]).toEqual(["open", "open"]);
    });

    test("a closed listener accepts nothing more, its connections stay", async () => {
      const { client, server, listener } = await bench().pair();
      const address = bench().to(listener);
      listener.close();
      const late = bench().connect(address);
      await bench().until(() => late.closed, "the refusal");
      client.wire.write(Buffer.from("still here"));
      await bench().until(() => server.sizeBytes === 10, "the bytes");
      expect(server.text).toBe("still here");
    });

    test("a second listener at the same place is refused with EADDRINUSE", async () => {
      const listener = await bench().listen();
      await expect(bench().listen(bench().to(listener))).rejects.toMatchObject({ code: "EADDRINUSE" });
    });
  });

  describe("bytes", () => {
    test("arrive in order and whole, both ways, under partial writes", async () => {
      const { client, server } = await bench().pair();
      const there = pattern(6 * MEGABYTE, 1);
      const back = pattern(5 * MEGABYTE, 2);
      // Neither reads at first: the kernel's buffers fill up and writes are taken in part.
      client.wire.pause();
      server.wire.pause();
      const heldThere = writeInPieces(client, there);
      const heldBack = writeInPieces(server, back);
      expect(heldThere).toBeGreaterThan(0);
      expect(heldBack).toBeGreaterThan(0);
      client.wire.resume();
      server.wire.resume();
      await bench().until(() => client.sizeBytes >= back.length && server.sizeBytes >= there.length, "all bytes");
      expect(server.bytes.equals(there)).toBe(true);
      expect(client.bytes.equals(back)).toBe(true);
    });

    test("after a write that returned 0 the memory is the caller's again", async () => {
      const { client, server } = await bench().pair();
      const scratch = Buffer.alloc(512);
      const sent: Buffer[] = [];
      for (let i = 0; i < 40; i++) {
        scratch.fill(i);
        sent.push(Buffer.from(scratch));
        expect(client.wire.write(scratch)).toBe(0);
      }
      scratch.fill(255);
      await bench().until(() => server.sizeBytes === 40 * 512, "all bytes");
      expect(server.bytes.equals(Buffer.concat(sent))).toBe(true);
    });

    test("of a part of some memory that part is written, at once and behind what is held", async () => {
      const { client, server } = await bench().pair();
      const memory = pattern(8 * MEGABYTE);
      const parts: Buffer[] = [];
      const write = (start: number, end: number): number => {
        parts.push(memory.subarray(start, end));
        return client.wire.write(memory, start, end);
      };
      expect(write(3, 11)).toBe(0);
      expect(write(0, 1)).toBe(0);
      server.wire.pause();
      expect(write(5, memory.length - 5)).toBeGreaterThan(0);
      expect(write(7, 9)).toBeGreaterThan(2);
      expect(write(memory.length - 4, memory.length)).toBeGreaterThan(6);
      server.wire.resume();
      const sent = Buffer.concat(parts);
      await bench().until(() => server.sizeBytes >= sent.length, "all bytes");
      expect(server.bytes.equals(sent)).toBe(true);
    });

    test("received memory is the callee's for good", async () => {
      const { client, server } = await bench().pair();
      client.wire.write(Buffer.from("first"));
      await bench().until(() => server.sizeBytes === 5, "the first bytes");
      client.wire.write(Buffer.alloc(30_000, 0x78));
      await bench().until(() => server.sizeBytes === 30_005, "the other bytes");
      expect(server.text.slice(0, 6)).toBe("firstx");
    });

    test("onDrain comes once, when what was held is gone, and writing goes on", async () => {
      const { client, server } = await bench().pair();
      server.wire.pause();
      const held = writeInPieces(client, pattern(8 * MEGABYTE));
      expect(held).toBeGreaterThan(0);
      expect(held).toBeLessThan(8 * MEGABYTE);
      await bench().quiet();
      expect(client.drains).toBe(0);
      server.wire.resume();
      await bench().until(() => client.drains > 0, "onDrain");
      expect(client.wire.write(Buffer.from("x"))).toBe(0);
      await bench().until(() => server.sizeBytes === 8 * MEGABYTE + 1, "all bytes");
      await bench().quiet();
      expect(client.drains).toBe(1);
    });

    test("the figure write returns counts everything still held", async () => {
      const { client, server } = await bench().pair();
      server.wire.pause();
      const held = writeInPieces(client, pattern(8 * MEGABYTE));
      expect(client.wire.write(Buffer.alloc(1000))).toBe(held + 1000);
      expect(client.wire.write(Buffer.alloc(234))).toBe(held + 1234);
    });

    test("a write of no bytes is harmless", async () => {
      const { client, server } = await bench().pair();
      expect(client.wire.write(Buffer.alloc(0))).toBe(0);
      client.wire.write(Buffer.from("after"));
      await bench().until(() => server.sizeBytes === 5, "the bytes");
    });

    test("a relay that pauses its source holds a bounded number of bytes", async () => {
      const { client: source, server: inlet } = await bench().pair();
      const { client: outlet, server: sink } = await bench().pair();
      const bound = 64 * 1024;
      let heldMax = 0;
      let largest = 0;
      inlet.keepBytes = false;
      inlet.whenData = (bytes) => {
        largest = Math.max(largest, bytes.length);
        const held = outlet.wire.write(bytes);
        heldMax = Math.max(heldMax, held);
        if (held > bound) inlet.wire.pause();
      };
      outlet.whenDrain = () => inlet.wire.resume();
      sink.wire.pause();
      const bytes = pattern(24 * MEGABYTE);
      writeInPieces(source, bytes);
      await bench().until(() => heldMax > bound, "the bound");
      await bench().quiet();
      // The sink stands: what was read ahead is all that may come on top of the bound.
      expect(heldMax).toBeLessThanOrEqual(bound + 2 * largest);
      sink.wire.resume();
      await bench().until(() => sink.sizeBytes === bytes.length, "all bytes");
      expect(sink.bytes.equals(bytes)).toBe(true);
      expect(heldMax).toBeLessThanOrEqual(bound + 2 * largest);
    });
  });

  describe("pause", () => {
    test("stops onData until resume, and loses nothing", async () => {
      const { client, server } = await bench().pair();
      server.wire.pause();
      client.wire.write(Buffer.from("waiting"));
      await bench().quiet();
      expect(server.log).toEqual([]);
      server.wire.resume();
      await bench().until(() => server.sizeBytes === 7, "the bytes");
      expect(server.text).toBe("waiting");
    });

    test("within onData lets nothing more come", async () => {
      const { client, server } = await bench().pair();
      let calls = 0;
      server.whenData = () => {
        calls++;
        server.wire.pause();
      };
      const bytes = pattern(4 * MEGABYTE);
      writeInPieces(client, bytes);
      await bench().quiet();
      expect(calls).toBe(1);
      server.whenData = null;
      server.wire.resume();
      await bench().until(() => server.sizeBytes === bytes.length, "all bytes");
      expect(server.bytes.equals(bytes)).toBe(true);
    });

    test("makes a FIN wait", async () => {
      const { client, server } = await bench().pair();
      server.wire.pause();
      client.wire.write(Buffer.from("last words"));
      client.wire.end();
      await bench().quiet();
      expect(server.log).toEqual([]);
      server.wire.resume();
      await bench().until(() => server.ended, "the FIN");
      expect(server.log).toEqual(["data", "end"]);
    });

    test("does not hide a reset for longer than until resume", async () => {
      const { client, server } = await bench().pair();
      server.wire.pause();
      // Unread bytes make the close a reset.
      client.wire.pause();
      server.wire.write(Buffer.from("never read"));
      await bench().quiet();
      client.wire.destroy();
      await bench().quiet();
      server.wire.resume();
      await bench().until(() => server.closed, "the reset");
      expect(server.error?.code).toBe("ECONNRESET");
      expect(server.log).toEqual(["close"]);
    });

    test("may be called while connecting", async () => {
      const listener = await bench().listen();
      bench().whenAccepted = (recorder) => recorder.wire.write(Buffer.from("hello"));
      const client = bench().connect(bench().to(listener));
      client.wire.pause();
      await bench().until(() => client.opened, "the connection");
      await bench().quiet();
      expect(client.log).toEqual(["open"]);
      client.wire.resume();
      await bench().until(() => client.sizeBytes === 5, "the bytes");
    });
  });

  describe("closing", () => {
    test("end is half a close: the other direction stays open", async () => {
      const { client, server } = await bench().pair();
      client.wire.write(Buffer.from("question"));
      client.wire.end();
      await bench().until(() => server.ended, "the FIN");
      expect(server.text).toBe("question");
      await bench().quiet();
      expect([client.closed, server.closed]).toEqual([false, false]);
      server.wire.write(Buffer.from("answer"));
      await bench().until(() => client.sizeBytes === 6, "the answer");
      server.wire.end();
      await bench().until(() => client.closed && server.closed, "both closes");
      expect(client.log).toEqual(["open", "data", "end", "close"]);
      expect(server.log).toEqual(["data", "end", "close"]);
      expect([client.error, server.error]).toEqual([null, null]);
    });

    test("end sends what is held before the FIN", async () => {
      const { client, server } = await bench().pair();
      const bytes = pattern(8 * MEGABYTE);
      server.wire.pause();
      expect(writeInPieces(client, bytes)).toBeGreaterThan(0);
      client.wire.end();
      server.wire.resume();
      await bench().until(() => server.ended, "the FIN");
      expect(server.bytes.equals(bytes)).toBe(true);
      server.wire.end();
      await bench().until(() => client.closed, "the close");
      expect(client.error).toBeNull();
    });

    test("nothing is written after end, destroy or the close", async () => {
      const { client, server } = await bench().pair();
      client.wire.write(Buffer.from("one"));
      client.wire.end();
      expect(client.wire.write(Buffer.from("two"))).toBe(0);
      await bench().until(() => server.ended, "the FIN");
      server.wire.destroy();
      expect(server.wire.write(Buffer.from("three"))).toBe(0);
      await bench().until(() => client.closed && server.closed, "both closes");
      expect(client.wire.write(Buffer.from("four"))).toBe(0);
      client.wire.end();
      client.wire.destroy();
      client.wire.pause();
      client.wire.resume();
      await bench().quiet();
      expect(server.text).toBe("one");
      expect(client.log.filter((event) => event === "close")).toEqual(["close"]);
      expect(client.sizeBytes).toBe(0);
    });

    test("destroy closes without an error, later and not within the call", async () => {
      const { client, server } = await bench().pair();
      client.wire.destroy();
      expect(client.log).toEqual(["open"]);
      await bench().until(() => client.closed && server.ended, "the close");
      expect(client.log).toEqual(["open", "close"]);
      expect(client.error).toBeNull();
    });

    test("destroy within onData lets nothing more come but onClose", async () => {
      const { client, server } = await bench().pair();
      server.whenData = () => {
        server.wire.destroy();
        expect(server.closed).toBe(false);
      };
      writeInPieces(client, pattern(2 * MEGABYTE));
      await bench().until(() => server.closed, "the close");
      await bench().quiet();
      expect(server.log).toEqual(["data", "close"]);
      expect(server.error).toBeNull();
    });

    test("destroy drops what is held", async () => {
      const { client, server } = await bench().pair();
      server.wire.pause();
      expect(writeInPieces(client, pattern(16 * MEGABYTE))).toBeGreaterThan(0);
      client.wire.destroy();
      await bench().until(() => client.closed, "the close");
      server.wire.resume();
      await bench().until(() => server.ended || server.closed, "the end");
      expect(server.sizeBytes).toBeLessThan(16 * MEGABYTE);
      expect(client.drains).toBe(0);
    });

    test("a reset is reported with ECONNRESET, and writing into it is harmless", async () => {
      const { client, server } = await bench().pair();
      client.wire.pause();
      server.wire.write(Buffer.from("never read"));
      await bench().quiet();
      client.wire.destroy();
      await bench().until(() => server.closed, "the reset");
      expect(server.error?.code).toBe("ECONNRESET");
      expect(server.log).toEqual(["close"]);
      expect(server.wire.write(Buffer.from("too late"))).toBe(0);
    });

    test("writing to a peer that is gone ends in onClose", async () => {
      const { client, server } = await bench().pair();
      client.wire.destroy();
      await bench().until(() => server.ended, "the FIN");
      for (let i = 0; i < 200 && !server.closed; i++) {
        server.wire.write(Buffer.alloc(1000));
        // eslint-disable-next-line no-await-in-loop -- each write is a turn of its own
        await bench().quiet();
      }
      expect(server.closed).toBe(true);
      expect(["ECONNRESET", "EPIPE"]).toContain(server.error?.code);
    });
  });

  describe("a callback that throws costs its own connection only", () => {
    const thrown = new Error("a fault in a callback");
    const raise = (): never => {
      throw thrown;
    };

    test.each(["onData", "onEnd"] as const)("%s", async (callback) => {
      const { client, server } = await bench().pair();
      const { client: neighbour, server: other } = await bench().pair();
      if (callback === "onData") server.whenData = raise;
      else server.whenEnd = raise;
      client.wire.write(Buffer.from("poison"));
      client.wire.end();
      await bench().until(() => server.closed, "the close");
      expect(server.error).toBe(thrown);
      neighbour.wire.write(Buffer.from("unharmed"));
      await bench().until(() => other.sizeBytes === 8, "the neighbour's bytes");
    });

    test("onOpen", async () => {
      const listener = await bench().listen();
      const recorder = new Recorder();
      recorder.whenOpen = raise;
      bench().connect(bench().to(listener), recorder);
      await bench().until(() => recorder.closed, "the close");
      expect(recorder.error).toBe(thrown);
    });

    test("onDrain", async () => {
      const { client, server } = await bench().pair();
      client.whenDrain = raise;
      server.wire.pause();
      writeInPieces(client, pattern(8 * MEGABYTE));
      server.wire.resume();
      await bench().until(() => client.closed, "the close");
      expect(client.error).toBe(thrown);
      await bench().until(() => server.ended || server.closed, "the peer's end");
    });

    test("what is thrown need not be an error", async () => {
      const { client, server } = await bench().pair();
      server.whenData = () => {
        // eslint-disable-next-line no-throw-literal -- the point of the test
        throw "just a word";
      };
      client.wire.write(Buffer.from("x"));
      await bench().until(() => server.closed, "the close");
      expect(server.error).toBeInstanceOf(Error);
      expect(server.error?.message).toContain("just a word");
    });
  });
}

/** A place where nobody listens any more. */
async function closedPort(bench: Bench): Promise<{ host: string; port: number }> {
  const listener: Listener = await bench.listen();
  const { port } = listener;
  listener.close();
  await bench.quiet();
  return { host: bench.subject.anywhere.host, port };
}

/** Returns what is held after the last piece. */
function writeInPieces(from: Recorder, bytes: Uint8Array): number {
  let held = 0;
  for (let start = 0, size = 1; start < bytes.length; start += size, size = ((size * 7) % 60_000) + 100) {
    held = from.wire.write(bytes.subarray(start, start + size));
  }
  return held;
}
