/**
 * The world that belongs to the runtime this process runs on. Only that runtime's transport is loaded.
 */
import type { Libc } from "./libc.ts";
import type { World } from "./world.ts";

/** `libc`: see `createNodeWorld`. */
export async function createWorld(libc?: Libc): Promise<World> {
  if (runtimeName() === "bun") return (await import("./bun-world.ts")).createBunWorld(libc);
  return (await import("./node-world.ts")).createNodeWorld(libc);
}

export function runtimeName(): "node" | "bun" {
  return "Bun" in globalThis ? "bun" : "node";
}
