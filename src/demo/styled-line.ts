/**
 * Lines of text with styles, before they become bytes for a terminal: so that a line can be measured, cut and compared
 * without escape sequences in the way. Every character used here is one column wide.
 */

export const Style = {
  plain: "plain",
  strong: "strong",
  dim: "dim",
  /** Something to copy. */
  accent: "accent",
  good: "good",
  warn: "warn",
} as const;
export type Style = (typeof Style)[keyof typeof Style];

export type Span = readonly [style: Style, text: string];
export type Line = readonly Span[];

/** Select Graphic Rendition, ECMA-48; the eight old colours follow the terminal's theme. */
const sgr: Readonly<Record<Style, string>> = {
  plain: "",
  strong: "\u001b[1m",
  dim: "\u001b[2m",
  accent: "\u001b[36m",
  good: "\u001b[32m",
  warn: "\u001b[33m",
};
const sgrOff = "\u001b[0m";

export function lineWidth(line: Line): number {
  return line.reduce((width, [, text]) => width + text.length, 0);
}

/** The line as characters, cut to `columns`; with `colour` styles are said by escape sequences. */
export function printLine(line: Line, columns: number, colour: boolean): string {
  let room = columns;
  let printed = "";
  for (const [style, text] of line) {
    const part = text.slice(0, Math.max(room, 0));
    room -= part.length;
    if (part === "") continue;
    printed += colour && sgr[style] !== "" ? `${sgr[style]}${part}${sgrOff}` : part;
  }
  return printed;
}
