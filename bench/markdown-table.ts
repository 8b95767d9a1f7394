/**
 * Prints a table that is readable in a terminal and valid Markdown. Pure.
 */

/** First column to the left, the others to the right. Rows shorter than the head are filled with empty cells. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => escapeCell(row[column] ?? "").length)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = widths.map((width, column) => {
      const cell = escapeCell(cells[column] ?? "");
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    });
    return `| ${padded.join(" | ")} |`;
  };
  const rule = `| ${widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`)).join(" | ")} |`;
  return [line(head), rule, ...rows.map(line)].join("\n");
}

/** Three significant digits for small numbers, none behind the point for large ones; "–" for what is not there. */
export function formatNumber(value: number | null): string {
  if (value === null) return "–";
  const size = Math.abs(value);
  if (size >= 100) return String(Math.round(value));
  if (size >= 10) return value.toFixed(1);
  return value.toFixed(size >= 1 || size === 0 ? 2 : 3);
}

/** "1.25×" */
export function formatRatio(value: number | null): string {
  return value === null ? "–" : `${value.toFixed(2)}×`;
}

export function formatMegabytes(kilobytes: number | null): string {
  return kilobytes === null ? "–" : formatNumber(kilobytes / 1024);
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
