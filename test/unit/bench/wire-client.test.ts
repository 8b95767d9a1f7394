/** The bench's own small client, against a listener that answers with prepared bytes, cut at every place. */
import { createHash } from "node:crypto";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, expect, test } from "vitest";
import { type Address, parseDataRow, WireClient } from "../../../bench/wire-client.ts";

const closers: (() => void)[] = [];

afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(type, 0, "latin1");
  head.writeInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

function dataRow(columns: (string | null)[]): Buffer {
  const parts = [Buffer.from([columns.length >> 8, columns.length & 255])];
  for (const column of columns) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(column === null ? -1 : Buffer.byteLength(column));
    parts.push(length, Buffer.from(column ?? ""));
  }
  return Buffer.concat(parts);
}

const READY = message("Z", Buffer.from("I"));
const AUTHENTICATED = message("R", Buffer.from([0, 0, 0, 0]));

/** Answers the startup packet with `welcome` and each later packet with `answer`, in pieces of `pieceBytes`. */
function listen(welcome: Buffer, answer: Buffer, pieceBytes: number): Promise<Address> {
  const send = (socket: Socket, bytes: Buffer): void => {
    for (let at = 0; at < bytes.length; at += pieceBytes) socket.write(bytes.subarray(at, at + pieceBytes));
  };
  const server = createServer({ noDelay: true }, (socket) => {
    let greeted = false;
    socket.on("data", (data) => {
      if (data[0] === 0x58) return socket.end();
      send(socket, greeted ? answer : welcome);
      greeted = true;
      return undefined;
    });
    socket.on("error", () => socket.destroy());
  });
  closers.push(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve({ host: "127.0.0.1", port: (server.address() as AddressInfo).port, socketFolder: null });
    });
  });
}

const welcome = Buffer.concat([AUTHENTICATED, message("S", Buffer.from("TimeZone\0UTC\0")), READY]);

test.each([1, 3, 7, 1000])("logs in and reads rows that come in pieces of %i bytes", async (pieceBytes) => {
  const rows = [
    ["a", null, ""],
    ["bé", "2", "x".repeat(50)],
  ];
  const answer = Buffer.concat([
    ...rows.map((row) => message("D", dataRow(row))),
    message("C", Buffer.from("SHOW\0")),
    READY,
  ]);
  const client = await WireClient.open(await listen(welcome, answer, pieceBytes));
  expect(await client.rows("show x")).toEqual(rows);
  expect(await client.rows("show x")).toEqual(rows);
  await client.close();
  expect(client.socket.destroyed).toBe(true);
});

test("rejects with what the server says", async () => {
  const refusal = message("E", Buffer.from("SFATAL\0C53300\0Mno more connections\0\0"));
  await expect(WireClient.open(await listen(refusal, READY, 1000))).rejects.toThrow(
    "FATAL: no more connections (53300)",
  );
  const client = await WireClient.open(await listen(welcome, Buffer.concat([refusal, READY]), 1000));
  await expect(client.query("select 1")).rejects.toThrow("no more connections");
  client.socket.destroy();
});

test.each([1, 4, 1000])("a COPY's digest is that of its bytes, in pieces of %i", async (pieceBytes) => {
  const rows = Array.from({ length: 20 }, (_, i) => message("d", Buffer.from(`${i}\trow\n`)));
  const answer = Buffer.concat([
    message("H", Buffer.from([0, 0, 1, 0, 0])),
    ...rows,
    message("c", Buffer.alloc(0)),
    message("C", Buffer.from("COPY 20\0")),
    READY,
  ]);
  const client = await WireClient.open(await listen(welcome, answer, pieceBytes));
  let seen = 0;
  const digest = await client.copyOut("copy …", (total) => (seen = total));
  expect(digest).toEqual({ bytes: answer.length, sha256: createHash("sha256").update(answer).digest("hex") });
  expect(seen).toBe(answer.length);
  await client.close();
});

test("a COPY that is cut off rejects", async () => {
  const address = await listen(welcome, message("d", Buffer.from("1\n")), 1000);
  const client = await WireClient.open(address);
  await expect(client.copyOut("copy …", () => client.socket.end(Buffer.from([0x58, 0, 0, 0, 4])))).rejects.toThrow(
    "closed",
  );
});

test("parseDataRow tells null from empty", () => {
  expect(parseDataRow(dataRow([null, "", "1"]))).toEqual([null, "", "1"]);
});
