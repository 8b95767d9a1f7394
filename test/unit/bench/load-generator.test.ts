/** The bench's own load: all answers are counted, and an answer that is somebody else's ends the run. */
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { LoadGenerator } from "../../../bench/load-generator.ts";
import type { Address } from "../../../bench/wire-client.ts";

let server: Server | null = null;
let generator: LoadGenerator | null = null;

afterEach(() => {
  generator?.close();
  server?.close();
});

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function rowOf(text: string): Buffer {
  const body = Buffer.alloc(6 + text.length);
  body.writeInt16BE(1, 0);
  body.writeInt32BE(text.length, 2);
  body.write(text, 6, "latin1");
  return message("D", body);
}

const READY = message("Z", Buffer.from("I"));

/** Answers `select N` with what `answer` makes of N, in two pieces. */
async function serve(answer: (number: string) => Buffer): Promise<Address> {
  const speak = (socket: Socket): void => {
    let isLoggedIn = false;
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      if (!isLoggedIn) {
        isLoggedIn = true;
        socket.write(Buffer.concat([message("R", Buffer.alloc(4)), READY]));
        return;
      }
      const bytes = Buffer.concat([answer(chunk.toString("latin1", 12, chunk.length - 1)), READY]);
      socket.write(bytes.subarray(0, 7));
      setImmediate(() => socket.write(bytes.subarray(7)));
    });
  };
  const own = createServer({ noDelay: true }, speak);
  server = own;
  await new Promise<void>((resolve) => own.listen(0, "127.0.0.1", resolve));
  return { host: "127.0.0.1", port: (own.address() as AddressInfo).port, socketFolder: null };
}

describe("LoadGenerator", () => {
  test("asks as often as it is told, as fast as it goes, and again", async () => {
    generator = await LoadGenerator.open(await serve(rowOf), 5);
    expect((await generator.runClosed(42)).latenciesMs).toHaveLength(42);
    expect((await generator.runClosed(3)).transactions).toBe(3);
  });

  test("asks at a rate", async () => {
    generator = await LoadGenerator.open(await serve(rowOf), 5);
    const load = await generator.runOpen(500, 0.2);
    expect(load.transactions).toBe(100);
    expect(load.seconds).toBeGreaterThan(0.19);
  });

  test.each([
    ["somebody else's answer", () => rowOf("0"), /not its own/],
    ["no row", () => Buffer.alloc(0), /without its row/],
    ["two rows", (number: string) => Buffer.concat([rowOf(number), rowOf(number)]), /not its own/],
    ["an error", () => message("E", Buffer.from("SERROR\0Mno\0\0")), /no/],
  ])("refuses %s", async (_name, answer, expected) => {
    generator = await LoadGenerator.open(await serve(answer), 3);
    await expect(generator.runClosed(10)).rejects.toThrow(expected);
  });

  test("a connection that is lost ends the run", async () => {
    const address = await serve(rowOf);
    const sockets: Socket[] = [];
    server?.on("connection", (socket: Socket) => sockets.push(socket));
    generator = await LoadGenerator.open(address, 2);
    const run = generator.runOpen(10, 60);
    sockets[0]?.destroy();
    await expect(run).rejects.toThrow(/closed/);
  });
});
