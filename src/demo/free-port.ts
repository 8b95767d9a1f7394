/**
 * Finds a TCP port on loopback that nobody listens on, for programs that cannot be given port 0 and be asked afterwards
 * (PostgreSQL, and a pooler whose configuration names the port).
 *
 * Ports are taken below 32768: the range above is where the kernel takes ports for outgoing connections, and one of those
 * may sit on the number between our look and the program's own bind. Between two users of this function the same can
 * happen, rarely; who starts a program with the answer tries again on EADDRINUSE.
 */
import { createServer } from "node:net";

const lowest = 12_000;
const count = 20_000;
const triesMax = 100;

/** Is `port` on 127.0.0.1 free at this moment? */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** `preferred` when it is free, else some free port. Rejects when a hundred tries found none. */
export async function findFreePort(preferred?: number): Promise<number> {
  if (preferred !== undefined && (await isPortFree(preferred))) return preferred;
  for (let tries = 0; tries < triesMax; tries += 1) {
    const port = lowest + Math.floor(Math.random() * count);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`no free port found in ${triesMax} tries between ${lowest} and ${lowest + count}`);
}
