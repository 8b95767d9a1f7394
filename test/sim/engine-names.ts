/** The engines that can be simulated, by the names used on the command line. */
import type { EngineKind } from "./engine-under-test.ts";
import { poolerKind } from "./pooler-engine.ts";
import { relayKind } from "./relay-engine.ts";

const KINDS: readonly EngineKind[] = [poolerKind, relayKind];

export function engineNamed(name: string): EngineKind {
  const kind = KINDS.find((known) => known.name === name);
  if (kind === undefined)
    throw new Error(`no engine is called ${name}; there are ${KINDS.map((known) => known.name).join(", ")}`);
  return kind;
}
