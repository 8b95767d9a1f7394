/** CPU time and memory of processes, from Linux' /proc (man 5 proc). Null where it cannot be read. */
import { readFileSync } from "node:fs";

/** The unit of utime and stime: USER_HZ is 100 on every Linux that runs Node. */
const tickMs = 10;
const userTimeField = 14;
const systemTimeField = 15;

/** User and system time of all its threads, in ms. */
export function cpuTimeMs(pid: number): number | null {
  const text = readProc(pid, "stat");
  if (text === null) return null;
  // The second field is the program's name in parentheses, which may hold anything; fields count from its end.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = (position: number): number => Number(fields[position - 3]);
  const sum = ticks(userTimeField) + ticks(systemTimeField);
  return Number.isFinite(sum) ? sum * tickMs : null;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number | null {
  return kilobytesOf(readProc(pid, "status"), ["VmRSS"]);
}

/** Memory in bytes that nobody shares with the process: what would be free without it. */
export function privateBytes(pid: number): number | null {
  return kilobytesOf(readProc(pid, "smaps_rollup"), ["Private_Clean", "Private_Dirty"]);
}

function kilobytesOf(text: string | null, names: readonly string[]): number | null {
  if (text === null) return null;
  let sum = 0;
  for (const name of names) {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
    if (found === null) return null;
    sum += Number(found[1]);
  }
  return sum * 1024;
}

/** Null: the process has ended, or is not ours to look into. */
function readProc(pid: number, file: string): string | null {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return null;
  }
}
