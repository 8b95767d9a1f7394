/**
 * The rules of ARCHITECTURE.md that can be read off the source: who may import whom, where the outside world may be
 * touched, and what may stand at the top level of a module. One function a rule: file and scan in, complaints out.
 */
import { posix } from "node:path";
import { linesMatching, type ScannedSource } from "./source-scan.ts";

/** Rooms of one row do not know each other; a room may import from all rows above its own. */
export const stages: readonly (readonly string[])[] = [
  ["protocol", "pool", "log"],
  ["net"],
  ["config"],
  ["auth", "metrics", "pipeline"],
  ["state"],
  ["sharing"],
  ["session"],
  ["pooler"],
  ["admin"],
  ["demo", "cli"],
];

/** These talk to a person or a test machine and are not part of the engine. */
const outerRooms = ["demo", "cli"];
/** Modules through which the outside world is reached; only `net` has them. */
const worldModules = [
  "dns",
  "dns/promises",
  "crypto",
  "net",
  "tls",
  "http",
  "https",
  "dgram",
  "timers",
  "timers/promises",
];
/** `protocol` and `pool` run anywhere: of the runtime they may use what does no I/O. */
const modulesWithoutIo = ["assert", "buffer", "util"];
const worldCalls = [
  /\bDate\.now\b/,
  /\bnew Date\(\s*\)/,
  /\bperformance\.(?:now|timeOrigin)\b/,
  /\bprocess\.hrtime\b/,
  /(?<![.\w])set(?:Timeout|Interval|Immediate)\s*\(/,
  /\bglobalThis\.set(?:Timeout|Interval|Immediate)\b/,
  /\bMath\.random\b/,
  /\b(?:globalThis\.)?crypto\.(?:getRandomValues|randomUUID|subtle)\b/,
];
const linesMax = 500;
const emptyNames = ["utils", "util", "helpers", "helper", "types", "common", "misc", "index"];

/** `path` is relative to the repository, for example `src/pool/waiters.ts`. */
export type Rule = (path: string, source: ScannedSource) => string[];

export const importDirection: Rule = (path, source) => {
  const room = roomOf(path);
  const stage = stageOf(room);
  if (stage < 0) return [`${path} is in no known room`];
  return source.imports.flatMap((specifier) => {
    if (!specifier.startsWith(".")) return [];
    const target = posix.join(posix.dirname(path), specifier);
    if (!target.startsWith("src/")) return [`${path} imports ${specifier}, which is outside src/`];
    const other = roomOf(target);
    if (other === room || (stageOf(other) >= 0 && stageOf(other) < stage)) return [];
    return [`${path} imports ${specifier}: ${room} may not know ${other}`];
  });
};

export const outsideWorldOnlyInNet: Rule = (path, source) => {
  const room = roomOf(path);
  if (room === "net" || outerRooms.includes(room)) return [];
  const modules = source.imports.filter((specifier) => {
    const name = specifier.replace(/^node:/, "");
    if (specifier.startsWith("bun:") || specifier === "bun") return true;
    if (worldModules.includes(name)) return true;
    return (
      (room === "protocol" || room === "pool") && specifier.startsWith("node:") && !modulesWithoutIo.includes(name)
    );
  });
  const calls = worldCalls.flatMap((pattern) =>
    linesMatching(source.code, pattern).map((line) => `${path}:${line} uses ${pattern.source}, which only src/net may`),
  );
  return [...modules.map((specifier) => `${path} imports ${specifier}, which only src/net may`), ...calls];
};

export const noModuleState: Rule = (path, source) => {
  if (outerRooms.includes(roomOf(path))) return [];
  const patterns: readonly (readonly [RegExp, string])[] = [
    [/(?:^|;|\})\s*(?:export\s+)?(?:let|var)\s/, "a variable at the top level"],
    [/^\s*(?:export\s+)?const\s+[\w$]+\s*=\s*new\s+(?:Weak)?(?:Map|Set|Ref)\b/, "a collection that is not Readonly…"],
    [
      /^\s*(?:export\s+)?const\s+[\w$]+\s*:\s*(?:Map|Set|WeakMap|WeakSet|Array)\b/,
      "a collection that is not Readonly…",
    ],
    [
      /^\s*(?:export\s+)?const\s+[\w$]+(?:\s*:[^=]+)?\s*=\s*(?:\[\]|\{\})\s*;/,
      "an empty collection, which waits to be filled",
    ],
  ];
  const found = patterns.flatMap(([pattern, what]) =>
    linesMatching(source.topLevel, pattern).map((line) => `${path}:${line} has ${what}`),
  );
  const statics = linesMatching(
    source.code,
    /^\s*(?:(?:public|private|protected)\s+)?static\s+(?!readonly\b|async\b|get\b|set\b|\{)#?[\w$]+\s*(?:[:=;!]|$)/,
  );
  return [...found, ...statics.map((line) => `${path}:${line} has a static field that is not readonly`)];
};

export const opensWithComment: Rule = (path, source) =>
  source.opening === "" ? [`${path} does not open with a comment that says what it is responsible for`] : [];

export const saysSoWhenLong: Rule = (path, source) =>
  source.lineCount > linesMax && !/\bone (?:thing|piece)\b/.test(source.opening)
    ? [`${path} has ${source.lineCount} lines; above ${linesMax} its opening comment must say why it is one thing`]
    : [];

export const isNamedForItsContent: Rule = (path) => {
  const name = posix.basename(path).replace(/\.d?\.?ts$/, "");
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*$/.test(name)) return [`${path} is not in kebab-case`];
  return emptyNames.includes(name) ? [`${path} has a name that says nothing`] : [];
};

export const rules: readonly Rule[] = [
  importDirection,
  outsideWorldOnlyInNet,
  noModuleState,
  opensWithComment,
  saysSoWhenLong,
  isNamedForItsContent,
];

function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function stageOf(room: string): number {
  return stages.findIndex((rooms) => rooms.includes(room));
}
