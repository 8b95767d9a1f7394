/**
 * Memory that all sockets of a transport read into. Node offers it for plain sockets (`onread`), and under TLS for a client that
 * opens its socket itself; a TLS socket that covers another one gets it here, by what `onread` puts on the covered one.
 *
 * That is Node's own way (`lib/net.js`, since Node 12) and no public interface: where it is not found, the stream does the reading.
 */
import type { OnReadOpts, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ChunkMemory } from "./chunk-memory.ts";
import { socketHandle } from "./node-handle.ts";

/** The memory, and who is called with it. */
const ONREAD_FIELDS = ["kBuffer", "kBufferCb", "kBufferGen"] as const;

interface ReadingHandle {
  useUserBuffer(memory: Uint8Array): void;
}

/** Options for all plain sockets of one transport: the memory they read into, and who gets what came. */
export function readOptions(
  sizeBytes: number,
  chunks: ChunkMemory,
  receivedBy: (socket: Socket, bytes: Uint8Array) => void,
): OnReadOpts {
  // Node calls it as a method of the socket.
  function received(this: unknown, count: number, memory: Uint8Array): boolean {
    const bytes = chunks.take(count);
    (memory as Buffer).copy(bytes, 0, 0, count);
    receivedBy(this as Socket, bytes);
    return true;
  }
  return { buffer: Buffer.allocUnsafeSlow(sizeBytes), callback: received };
}

/** `secure`, of which nothing has been read yet, reads as `raw` below it does. False where Node does not let us. */
export function readAsCovered(secure: TLSSocket, raw: Socket): boolean {
  const handle = socketHandle(secure) as (Partial<ReadingHandle> & object) | null;
  if (handle === null || typeof handle.useUserBuffer !== "function") return false;
  const symbols = Object.getOwnPropertySymbols(raw);
  const fields = ONREAD_FIELDS.map((name) => symbols.find(({ description }) => description === name));
  const [memoryField] = fields;
  if (memoryField === undefined || fields.includes(undefined)) return false;
  const memory: unknown = Reflect.get(raw, memoryField);
  if (!(memory instanceof Uint8Array)) return false;
  for (const field of fields as symbol[]) Reflect.set(secure, field, Reflect.get(raw, field));
  handle.useUserBuffer(memory);
  return true;
}
