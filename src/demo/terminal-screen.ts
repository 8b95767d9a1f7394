/**
 * A screen that is redrawn in place: the terminal's second buffer, so that what was there before comes back at the end.
 *
 * Only lines that have changed are written: nothing flickers, and a connection string that somebody has just marked to
 * copy stays marked.
 */
import { type Line, printLine } from "./styled-line.ts";

/** What a terminal needs in order to be as it was: lines wrap, a cursor, the first buffer. */
export const screenOff = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const screenOn = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const clearAll = "\u001b[2J";
const clearRest = "\u001b[K";

export interface TerminalOutput {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
  on(event: "resize", listener: () => void): unknown;
  off(event: "resize", listener: () => void): unknown;
}

export class TerminalScreen {
  readonly #output: TerminalOutput;
  readonly #colour: boolean;
  readonly #layOut: (columns: number, rows: number) => readonly Line[];
  #drawn: string[] = [];
  #on = false;

  /** `layOut` gives the lines for a terminal of that size. */
  constructor(output: TerminalOutput, colour: boolean, layOut: (columns: number, rows: number) => readonly Line[]) {
    this.#output = output;
    this.#colour = colour;
    this.#layOut = layOut;
  }

  open(): void {
    if (this.#on) return;
    this.#on = true;
    this.#output.write(screenOn);
    this.#output.on("resize", this.#onResize);
    this.#onResize();
  }

  /** Brings the terminal up to date. */
  draw(): void {
    if (!this.#on) return;
    const columns = this.#output.columns ?? 80;
    const rows = this.#output.rows ?? 24;
    const lines = this.#layOut(columns, rows)
      .slice(0, rows)
      .map((line) => printLine(line, columns, this.#colour));
    let written = "";
    for (let row = 0; row < Math.max(lines.length, this.#drawn.length); row += 1) {
      const line = lines[row] ?? "";
      // Cleared first: behind a line of full width the cursor stands on its last character.
      if (line !== this.#drawn[row]) written += `\u001b[${row + 1};1H${clearRest}${line}`;
    }
    this.#drawn = lines;
    if (written !== "") this.#output.write(written);
  }

  close(): void {
    if (!this.#on) return;
    this.#on = false;
    this.#output.off("resize", this.#onResize);
    this.#output.write(screenOff);
  }

  #onResize = (): void => {
    this.#drawn = [];
    this.#output.write(clearAll);
    this.draw();
  };
}
