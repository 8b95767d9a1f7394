/** A curve of blocks, several rows high, in eighths of a row. */

const eighths = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/**
 * The last `columns` values as `rows` lines, the topmost first; the newest value is at the right. The curve starts at 0
 * and its top is the largest value shown. A value above 0 is never invisible.
 */
export function sparkline(values: readonly number[], columns: number, rows: number): string[] {
  const shown = values.slice(-columns);
  const top = Math.max(...shown, 0);
  const heights = shown.map((value) => (top > 0 && value > 0 ? Math.max(1, Math.round((value / top) * rows * 8)) : 0));
  const padding = " ".repeat(columns - shown.length);
  return Array.from({ length: rows }, (_, row) => {
    const below = (rows - 1 - row) * 8;
    return padding + heights.map((height) => eighths[Math.min(Math.max(height - below, 0), 8)]).join("");
  });
}
