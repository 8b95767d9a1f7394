/** What the demo says without a screen: a line a second, and the summary at the end of every run. */
import type { Figures, Totals } from "./meter.ts";
import { bytes, count, duration, plural } from "./figure-text.ts";
import type { Scene } from "./live-screen.ts";

export function plainLine(figures: Figures): string {
  const { clients, latency, servers } = figures;
  const who =
    clients === null
      ? "clients –"
      : `${plural(clients.all, "client")} (${count(clients.served)} served, ${count(clients.waiting)} waiting, ` +
        `${count(clients.idle)} idle${clients.visitors > 0 ? `, ${plural(clients.visitors, "visitor")}` : ""})`;
  const parts = [
    `${(figures.elapsedMs / 1000).toFixed(0).padStart(3)} s`,
    `${count(figures.queriesPerS)} queries/s`,
    who,
    `${count(servers)} servers in PostgreSQL`,
    `p50 ${duration(latency?.p50Ms ?? null)} p95 ${duration(latency?.p95Ms ?? null)} p99 ${duration(latency?.p99Ms ?? null)}`,
    `SHOW: query ${duration(figures.queryMs)} wait ${duration(figures.waitMs)}`,
    `pooler ${count(figures.cpuPercent)} % ${bytes(figures.memoryBytes)}`,
  ];
  const { wrongAnswers, errors, lostConnections, lastTrouble } = figures.counts;
  if (wrongAnswers + errors + lostConnections > 0) {
    parts.push(`${errors} errors, ${lostConnections} lost, ${wrongAnswers} wrong: ${lastTrouble}`);
  }
  return parts.join("  ");
}

/** `missingMoney`: what the balances have lost; null: it could not be asked. */
export function summary(scene: Scene, totals: Totals, missingMoney: number | null): string {
  const { counts, latency, stats } = totals;
  const seconds = totals.elapsedMs / 1000;
  const perQueryUs = totals.cpuMs === null || counts.queries === 0 ? null : (totals.cpuMs * 1000) / counts.queries;
  const percent = (cpuMs: number): string => `${count((cpuMs / totals.elapsedMs) * 100)} % of a core`;
  const rows: [string, string][] = [
    ["clients", `${count(totals.clientsConnected)}, of which at most ${count(totals.waitingMost)} waited`],
    ["servers", `${count(totals.serversMost)} at most, counted by PostgreSQL (pool size ${scene.poolSize})`],
    ["queries", `${count(counts.queries)}, ${count(counts.queries / seconds)} per second`],
    [
      "latency",
      `p50 ${duration(latency?.p50Ms ?? null)}, p95 ${duration(latency?.p95Ms ?? null)}, p99 ${duration(latency?.p99Ms ?? null)}`,
    ],
  ];
  if (stats !== null) {
    const query = duration(stats.queries > 0 ? stats.queryTimeUs / stats.queries / 1000 : null);
    const wait = duration(stats.serverAssignments > 0 ? stats.waitTimeUs / stats.serverAssignments / 1000 : null);
    rows.push(["SHOW STATS", `${count(stats.transactions)} transactions; query ${query}, wait ${wait} on average`]);
  }
  if (totals.cpuMs !== null) {
    rows.push([
      "pooler",
      `${percent(totals.cpuMs)}, ${count(perQueryUs)} µs per query, ${bytes(totals.memoryMostBytes)} ` +
        `(the clients and this report: ${percent(totals.ownCpuMs)})`,
    ]);
  }
  if (totals.backendBytes !== null) {
    const processes = plural(totals.clientsConnected, "PostgreSQL process", "PostgreSQL processes");
    const memory = bytes(totals.backendBytes * totals.clientsConnected);
    rows.push(["without it", `${processes}, about ${memory}, instead of ${count(totals.serversMost)}`]);
  }
  rows.push(["answers", answersText(totals, missingMoney)]);
  const label = 12;
  return [
    `${scene.title}, ${seconds.toFixed(1)} s:`,
    ...rows.map(([name, text]) => `  ${name.padEnd(label)}${text}`),
  ].join("\n");
}

function answersText({ counts, visitorsMost }: Totals, missingMoney: number | null): string {
  const { wrongAnswers, errors, lostConnections } = counts;
  const words = [
    `${count(wrongAnswers)} went to the wrong client`,
    plural(errors, "error"),
    plural(lostConnections, "lost connection"),
  ];
  if (missingMoney === 0) words.push("the balances add up");
  else if (missingMoney !== null) {
    words.push(`the balances are off by ${count(missingMoney)}${visitorsMost > 0 ? " (visitors could write)" : ""}`);
  }
  return words.join(", ");
}
