/**
 * CPU time and memory of a process, from Linux' /proc (man 5 proc).
 *
 * `/proc/PID/stat` of a process counts all its threads, those that ended too, and not its children: what we want, since
 * a JavaScript runtime compiles and collects garbage on threads of its own and that is part of what it costs.
 */
import { readFileSync } from "node:fs";

export interface CpuTimes {
  readonly userUs: number;
  readonly systemUs: number;
}

export interface MemoryUse {
  /** Resident now. */
  readonly rssKb: number;
  /** The most that was ever resident. */
  readonly peakKb: number;
}

/** The unit of utime and stime: USER_HZ is 100 on every Linux that runs Node. */
const TICK_US = 10_000;

/** Reads user and system time of a process, all threads. Throws when the process is gone. */
export function readCpu(pid: number): CpuTimes {
  return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1"));
}

/** Reads resident memory of a process. Throws when the process is gone. */
export function readMemory(pid: number): MemoryUse {
  return parseStatus(readFileSync(`/proc/${pid}/status`, "latin1"));
}

export function parseStat(text: string): CpuTimes {
  // Field 2 is the program's name in parentheses and may hold spaces and parentheses; everything counts from the last one.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = (position: number): number => {
    const value = Number(fields[position - 3]);
    if (!Number.isInteger(value)) throw new Error(`/proc/PID/stat has no field ${position}: ${text}`);
    return value * TICK_US;
  };
  return { userUs: ticks(14), systemUs: ticks(15) };
}

export function parseStatus(text: string): MemoryUse {
  const kilobytes = (name: string): number => {
    const found = new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text);
    if (found === null) throw new Error(`/proc/PID/status has no ${name}`);
    return Number(found[1]);
  };
  return { rssKb: kilobytes("VmRSS"), peakKb: kilobytes("VmHWM") };
}
