/** Each promised number is compared with the right rounds, and only where it was measured. */
import { describe, expect, test } from "vitest";
import { checkTargets } from "../../../bench/targets.ts";
import { benchResults, loadCase, loadResult, seatRounds } from "./bench-samples.ts";

/** "text: value limit reached" of each. */
function checksOf(...results: Parameters<typeof benchResults>): string[] {
  return checkTargets(benchResults(...results)).map(
    ({ text, value, limit, reached }) => `${text}: ${value} ${limit} ${reached}`,
  );
}

describe("load", () => {
  const pgbouncer = seatRounds("pgbouncer", 20, [loadResult(1000, 20), loadResult(2000, 20)]);

  test("500 on 20: CPU, throughput, and throughput to direct at its best", () => {
    const seats = [
      seatRounds("direct", null, [loadResult(1500, null), loadResult(3000, null)], { clients: 32 }),
      pgbouncer,
      seatRounds("bun", 20, [loadResult(1800, 10.2), loadResult(3600, 10.2)]),
    ];
    expect(checksOf([], { load: [loadCase("load", 500, seats)] })).toEqual([
      "Bun: CPU per transaction, simple, 500 clients on 20 servers: 0.51× ≤ 0.50× false",
      "Bun: throughput, simple, 500 clients on 20 servers: 1.80× ≥ 1.80× true",
      "Bun: throughput to direct at its best (32 clients), simple, 500 clients on 20 servers: 1.20× ≥ 1.20× true",
    ]);
  });

  test("other sizes ask for nothing, and nothing is asked for without PgBouncer", () => {
    const bun = seatRounds("bun", 20, [loadResult(1, 99)]);
    expect(checksOf([], { load: [loadCase("load", 63, [pgbouncer, bun])] })).toEqual([]);
    expect(checksOf([], { load: [loadCase("load", 500, [bun])] })).toEqual([]);
  });

  test("16 on 20 asks for CPU only", () => {
    const node = seatRounds("node", 20, [loadResult(1, 33), loadResult(1, 33)]);
    expect(checksOf([], { load: [loadCase("load", 16, [pgbouncer, node])] })).toEqual([
      "Node: CPU per transaction, simple, 16 clients on 20 servers: 1.65× ≤ 1.60× false",
    ]);
  });
});

test("system calls are judged by side", () => {
  const calls = { client: 2.1, server: 0.7, waits: 0.3, other: 0, all: 3.1 };
  const load = [loadCase("calls", 500, [seatRounds("node", 20, [loadResult(1, 1, { calls })])])];
  expect(checksOf([], { load })).toEqual([
    "Node: system calls, client side, simple: 2.10 ≤ 2.20 true",
    "Node: system calls, server side, simple: 0.700 ≤ 0.600 false",
  ]);
});

test("latency is judged by the difference to PgBouncer, over enough round trips", () => {
  const seats = (count: number): ReturnType<typeof seatRounds>[] => [
    seatRounds("pgbouncer", 20, [loadResult(1, 1, { p50Ms: 0.05 })]),
    seatRounds("bun", 20, [loadResult(1, 1, { p50Ms: 0.061, sampledLatencies: count })]),
  ];
  expect(checksOf([], { load: [loadCase("latency", 1, seats(50_000))] })).toEqual([
    "Bun: latency added to direct, more than PgBouncer adds: + 11.0 µs ≤ + 10.0 µs false",
  ]);
  expect(checksOf([], { load: [loadCase("latency", 1, seats(49_999))] })).toEqual([]);
});

test("p99 at a fixed rate, TLS, and many clients", () => {
  const seats = (ours: ReturnType<typeof loadResult>): ReturnType<typeof seatRounds>[] => [
    seatRounds("pgbouncer", 20, [loadResult(100, 10, { p99Ms: 10 })]),
    seatRounds("node", 20, [ours]),
  ];
  const spread = { clients: 50, ratePerSecond: 1, achievedPerSecond: 1, cpuUs: 10, p50Ms: 1, p99Ms: 1 };
  const results = {
    load: [
      loadCase("tail", 1000, seats(loadResult(100, 10, { p99Ms: 8.1 })), { ratePerSecond: 70 }),
      loadCase("tls", 64, seats(loadResult(100, 10.1))),
      loadCase("tls", 16, seats(loadResult(71, 99)), { reconnect: true }),
    ],
    spread: [{ seat: "node" as const, poolSize: 20, few: [spread], many: [{ ...spread, clients: 5000, cpuUs: 16 }] }],
  };
  expect(checksOf([], results)).toEqual([
    "Node: p99, 1000 clients at 70 a second: 0.81× ≤ 0.80× false",
    "Node: TLS, CPU per transaction, 64 clients on 20 servers: 1.01× ≤ 1.00× false",
    "Node: TLS, logins a second: 0.71× ≥ 0.70× true",
    "Node: CPU per transaction, 5000 clients to 50, at one rate: 1.60× ≤ 1.50× false",
  ]);
  expect(checksOf(["--idle-clients", "100"], { spread: results.spread })).toEqual([]);
});

test("sharing is judged against the same runtime without it", () => {
  const off = { name: "sharing = 0", settings: ["sharing = 0"] };
  const on = { name: "sharing = 1", settings: ["sharing = 1"] };
  const seats = [
    seatRounds("node", 4, [loadResult(100, 10, { p99Ms: 10 })], { variant: off }),
    seatRounds("node", 4, [loadResult(94, 10.4, { p99Ms: 9 })], { variant: on }),
    seatRounds("bun", 4, [loadResult(1, 1)], { variant: off }),
  ];
  const load = (["few", "mixed", "alone"] as const).map((part) => loadCase(part, 8, seats));
  const ofNode = checksOf([], { load }).filter((line) => line.startsWith("Node"));
  expect(ofNode.map((line) => line.replace(/^.*: /, ""))).toEqual([
    "0.94× ≥ 0.95× false",
    "1.00× ≤ 1.05× true",
    "0.90× ≤ 1.05× true",
    "1.04× ≤ 1.03× false",
  ]);
});

describe("idle clients and COPY", () => {
  const idle = { clients: 5000, baseKb: 30_000, justAfterKb: 60_000, settledKb: 52_500, connectSeconds: 1 };
  const rows = [
    { seat: "pgbouncer" as const, poolSize: 20, rounds: [{ ...idle, settledKb: 45_000 }] },
    { seat: "bun" as const, poolSize: 20, rounds: [idle] },
  ];

  test("idle memory is what the clients added", () => {
    expect(checksOf([], { idle: rows })).toEqual([
      "Bun: memory per idle client, to PgBouncer: 1.50× ≤ 0.70× false",
      "Bun: memory per idle client: 4.50 KB ≤ 5.00 KB true",
    ]);
    expect(checksOf(["--idle-clients", "100"], { idle: rows })).toEqual([]);
  });

  test("COPY is judged each way", () => {
    const round = { bytes: 1e9, intact: true, seconds: 2, userSeconds: 1, systemSeconds: 1, peakKb: 2048 };
    const copy = (["out", "in"] as const).flatMap((direction) => [
      { seat: "pgbouncer" as const, poolSize: 4, direction, rounds: [{ ...round, userSeconds: 3 }] },
      { seat: "bun" as const, poolSize: 4, direction, rounds: [{ ...round, userSeconds: direction === "in" ? 2 : 1 }] },
    ]);
    expect(checksOf([], { copy })).toEqual([
      "Bun: COPY out byte for byte: yes yes true",
      "Bun: CPU of the COPY out: 0.50× ≤ 0.60× true",
      "Bun: COPY in byte for byte: yes yes true",
      "Bun: CPU of the COPY in: 0.75× ≤ 0.60× false",
    ]);
    expect(checksOf(["--copy-mb", "100"], { copy })).toEqual([]);
  });
});
