/**
 * A PostgreSQL that a test plays: it reads the messages of each connection and hands them to the test's own answers.
 * Written without the engine's readers and writers.
 */
import { createServer, type Server, type Socket } from "node:net";
import { int16, int32, message } from "../support/wire-client.ts";

/** What it does with one message: type `""` is a packet without a type (startup, SSLRequest). */
export type Answers = (socket: Socket, type: string, body: Buffer) => void;

/** What a server says when it has nothing more to ask. */
export const welcome = Buffer.concat([
  message("R", int32(0)),
  message("S", "server_version", "18.0"),
  message("S", "client_encoding", "UTF8"),
  message("K", int32(4242), int32(99)),
  message("Z", Buffer.from("I")),
]);

/** One row of one text column, and the end of its query. */
export function oneRow(text: string): Buffer {
  const value = Buffer.from(text);
  return Buffer.concat([
    message("T", int16(1), "n", int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)),
    message("D", int16(1), int32(value.length), value),
    message("C", "SELECT 1"),
    message("Z", Buffer.from("I")),
  ]);
}

/** Asks for no password, and answers every query with its own text. */
export const friendly: Answers = (socket, type, body) => {
  if (type === "") socket.write(welcome);
  else if (type === "Q") socket.write(oneRow(body.toString("utf8", 0, body.length - 1)));
};

export class HostileServer {
  /** For connections that come from now on. */
  answers: Answers = friendly;
  readonly sockets = new Set<Socket>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async start(): Promise<HostileServer> {
    const hostile = new HostileServer();
    await new Promise<void>((resolve) => hostile.#server.listen(0, "127.0.0.1", resolve));
    return hostile;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  stop(): void {
    for (const socket of this.sockets) socket.destroy();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    const { answers } = this;
    this.sockets.add(socket);
    let received: Buffer = Buffer.alloc(0);
    let greeted = false;
    socket.on("error", () => undefined);
    socket.on("close", () => this.sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      for (;;) {
        const head = greeted ? 1 : 0;
        if (received.length < head + 4) return;
        const end = head + received.readInt32BE(head);
        if (received.length < end) return;
        const type = greeted ? String.fromCharCode(received[0]!) : "";
        const body = received.subarray(head + 4, end);
        received = received.subarray(end);
        greeted ||= body.readInt32BE(0) >> 16 === 3;
        answers(socket, type, body);
      }
    });
  }
}
