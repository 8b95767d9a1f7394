/**
 * What the demo's screen says, from one second's figures to lines that fit the terminal. A pure function: the same
 * figures and size give the same lines.
 *
 * On a low screen the empty lines go first, then the last ones; the invitation and the clients stay.
 */
import type { ClientFigures, Figures } from "./meter.ts";
import { bytes, clock, count, duration, plural } from "./figure-text.ts";
import { sparkline } from "./sparkline.ts";
import { type Line, lineWidth, type Span, Style } from "./styled-line.ts";

/** What does not change while it runs. */
export interface Scene {
  /** For example "pgcarpool 0.1.0 on Node 24.21.0". */
  readonly title: string;
  readonly postgresVersion: string;
  /** Connection strings: to the database, and to the console. */
  readonly url: string;
  readonly consoleUrl: string;
  readonly iniPath: string;
  readonly clients: number;
  readonly poolSize: number;
  /** The clients pause for longer and shorter, so that the curve moves. */
  readonly tide: boolean;
  /** When it ends by itself; null: when told to. */
  readonly seconds: number | null;
}

const widthMax = 100;
const labelWidth = 13;
const dotRowsMax = 6;
const dotsPerRow = [50, 40, 30, 20, 10] as const;
const curveRows = 3;
/** As wide as the dots. */
const curveColumnsMax = 54;
const servedDot = "●";
const waitingDot = "◌";
const idleDot = "·";
const empty: Line = [];
const startingLine: Line = [[Style.dim, " the clients are at work; the first figures come in a second"]];

/** `figures`: null before the first second is over. */
export function liveScreen(scene: Scene, figures: Figures | null, columns: number, rows: number): readonly Line[] {
  const width = Math.min(columns, widthMax);
  const lines: Line[] = [
    titleLine(scene, figures, width),
    empty,
    ...invitation(scene, columns),
    empty,
    ...(figures === null ? [startingLine] : body(scene, figures, width)),
  ];
  if (lines.length <= rows) return lines;
  return lines.filter((line) => line !== empty).slice(0, rows);
}

function body(scene: Scene, figures: Figures, width: number): Line[] {
  return [
    ...clientLines(figures.clients, width),
    empty,
    ...serverLines(scene, figures),
    empty,
    ...throughputLines(scene, figures, width),
    empty,
    ...latencyLines(figures),
    empty,
    ...costLines(scene, figures),
    ...troubleLines(figures),
  ];
}

/** What runs and for how long; on a narrow terminal the time goes first, then the end of the title. */
function titleLine(scene: Scene, figures: Figures | null, width: number): Line {
  const left: Line = [
    [Style.strong, ` ${scene.title}`],
    [Style.dim, `, PostgreSQL ${scene.postgresVersion}`],
  ];
  const end = scene.seconds === null ? "Ctrl-C ends it" : `of ${clock(scene.seconds * 1000)}`;
  const right: Line = [
    [Style.plain, clock(figures?.elapsedMs ?? 0)],
    [Style.dim, ` ${end}`],
  ];
  const gap = width - lineWidth(left) - lineWidth(right);
  return gap < 2 ? left : [...left, [Style.plain, " ".repeat(gap)], ...right];
}

function invitation(scene: Scene, columns: number): Line[] {
  return [
    [[Style.plain, " Join in while it runs: one more client, the same server connections."]],
    ...toCopy(`   psql ${scene.url}`, columns),
    ...toCopy(`   psql ${scene.consoleUrl} -c 'SHOW POOLS'`, columns),
    [[Style.dim, `   configuration: ${scene.iniPath}`]],
  ];
}

/** A text that must not be cut goes on in the next line. */
function toCopy(text: string, columns: number): Line[] {
  const lines: Line[] = [];
  for (let start = 0; start < text.length; start += columns) {
    lines.push([[Style.accent, text.slice(start, start + columns)]]);
  }
  return lines;
}

function clientLines(clients: ClientFigures | null, width: number): Line[] {
  if (clients === null) return [row("Clients", [[Style.dim, "the console does not answer"]])];
  const { all, visitors, served, waiting, idle } = clients;
  const words: Span[] = [
    [Style.strong, plural(all, "client")],
    [Style.plain, "  "],
    [Style.good, `${servedDot} ${count(served)} served`],
    [Style.plain, "  "],
    [waiting > 0 ? Style.warn : Style.dim, `${waitingDot} ${count(waiting)} waiting`],
    [Style.dim, `  ${idleDot} ${count(idle)} idle`],
  ];
  if (visitors > 0) words.push([Style.accent, `  ${plural(visitors, "visitor")}!`]);
  return [row("Clients", words), ...dots(clients, width)];
}

/** A dot a client, in groups of ten; with very many clients a dot stands for several. */
function dots({ all, served, waiting }: ClientFigures, width: number): Line[] {
  const indent = labelWidth + 1;
  const perRow = dotsPerRow.find((length) => indent + length + length / 10 <= width) ?? 10;
  const each = Math.max(1, Math.ceil(all / (perRow * dotRowsMax)));
  const servedDots = Math.ceil(served / each);
  const waitingDots = Math.ceil(waiting / each);
  const total = Math.max(Math.ceil(all / each), servedDots + waitingDots);
  const styleOf = (index: number): Style => {
    if (index < servedDots) return Style.good;
    return index < servedDots + waitingDots ? Style.warn : Style.dim;
  };
  const dotOf: Partial<Record<Style, string>> = { good: servedDot, warn: waitingDot, dim: idleDot };
  const lines: Line[] = [];
  for (let start = 0; start < total; start += perRow) {
    const spans: Span[] = [[Style.plain, " ".repeat(indent)]];
    for (let index = start; index < Math.min(start + perRow, total); index += 1) {
      const style = styleOf(index);
      const gap = index > start && (index - start) % 10 === 0 ? " " : "";
      spans.push([style, `${gap}${dotOf[style] ?? ""}`]);
    }
    lines.push(joinEqual(spans));
  }
  if (each > 1) lines.push([[Style.dim, `${" ".repeat(indent)}one dot: ${each} clients`]]);
  return lines;
}

function serverLines(scene: Scene, { servers, serversBusy }: Figures): Line[] {
  const known = servers ?? 0;
  const busy = Math.min(known, Math.round(serversBusy ?? 0));
  const spans: Span[] = [
    [Style.strong, plural(known, "connection")],
    [Style.plain, "  "],
    [Style.good, "■ ".repeat(busy)],
    [Style.dim, "□ ".repeat(known - busy)],
  ];
  if (servers === null) return [row("Servers", [[Style.dim, "PostgreSQL does not answer"]])];
  return [
    row("Servers", spans),
    row("", [[Style.dim, `pg_stat_activity counts them; pool_mode transaction, pool size ${scene.poolSize}`]]),
  ];
}

function throughputLines({ tide }: Scene, { queriesPerS, history }: Figures, width: number): Line[] {
  const indent = labelWidth + 1;
  const columns = Math.max(10, Math.min(width - indent, curveColumnsMax));
  const curve = sparkline(history, columns, curveRows);
  const top = Math.max(...history.slice(-columns));
  return [
    row("Throughput", [
      [Style.strong, `${count(queriesPerS)} queries/s`],
      [Style.dim, `   at most ${count(top)}${tide ? "; traffic rises and falls" : ""}`],
    ]),
    ...curve.map((text): Line => [[Style.good, " ".repeat(indent) + text]]),
  ];
}

function latencyLines({ latency, queryMs, waitMs }: Figures): Line[] {
  const cell = (name: string, ms: number | null): Span[] => [
    [Style.dim, `${name} `],
    [Style.plain, duration(ms).padEnd(9)],
  ];
  return [
    row("Latency", [
      ...cell("p50", latency?.p50Ms ?? null),
      ...cell("p95", latency?.p95Ms ?? null),
      ...cell("p99", latency?.p99Ms ?? null),
      [Style.dim, "as the clients see it"],
    ]),
    row("", [
      [Style.dim, "query "],
      [Style.plain, duration(queryMs)],
      [Style.dim, ", wait for a server "],
      [Style.plain, duration(waitMs)],
      [Style.dim, " on average (SHOW STATS)"],
    ]),
  ];
}

function costLines(scene: Scene, figures: Figures): Line[] {
  const { cpuPercent, memoryBytes, backendBytes, servers } = figures;
  const clients = figures.clients?.all ?? scene.clients;
  const times = (processes: number): number | null => (backendBytes === null ? null : backendBytes * processes);
  return [
    row("Pooler", [[Style.plain, `${count(cpuPercent)} % of a core, ${bytes(memoryBytes)}`]]),
    row("PostgreSQL", [
      [Style.plain, `${plural(servers ?? 0, "process", "processes")}, ${bytes(times(servers ?? 0))}`],
    ]),
    row("", [
      [Style.warn, `without a pooler: ${plural(clients, "process", "processes")}, about ${bytes(times(clients))}`],
    ]),
  ];
}

function troubleLines({ counts }: Figures): Line[] {
  const { wrongAnswers, errors, lostConnections, lastTrouble } = counts;
  if (wrongAnswers + errors + lostConnections === 0) return [];
  const text =
    `${plural(errors, "error")}, ${plural(lostConnections, "lost connection")}, ` +
    `${plural(wrongAnswers, "wrong answer")}: ${lastTrouble}`;
  return [empty, row("Trouble", [[Style.warn, text]])];
}

function row(label: string, spans: readonly Span[]): Line {
  return [[Style.dim, ` ${label.padEnd(labelWidth)}`], ...spans];
}

/** Neighbours of one style become one span. */
function joinEqual(spans: readonly Span[]): Line {
  const joined: [Style, string][] = [];
  for (const [style, text] of spans) {
    const last = joined.at(-1);
    if (last !== undefined && last[0] === style) last[1] += text;
    else joined.push([style, text]);
  }
  return joined;
}
