/**
 * What one connection of the soak must find wherever its statements run: its parameters and the names it has prepared.
 *
 * Seven of ten clients are alike, so that their statements may share a server; the others differ in one thing each.
 */

/** How a DateStyle prints 22 November 2026. */
export const dateStyles = [
  { name: "ISO, MDY", date: "2026-11-22" },
  { name: "SQL, DMY", date: "22/11/2026" },
  { name: "German, DMY", date: "22.11.2026" },
  { name: "Postgres, MDY", date: "11-22-2026" },
] as const;

export type DateStyle = (typeof dateStyles)[number];

const kinds = 10;

export class SoakSession {
  readonly #client: number;
  dateStyle: DateStyle;
  applicationName: string;
  /** Names that are prepared, with their texts. */
  readonly prepared = new Map<string, string>();

  constructor(client: number) {
    this.#client = client;
    this.dateStyle = client % kinds === 7 ? dateStyles[1] : dateStyles[0];
    this.applicationName = client % kinds === 8 ? `soak ${client}` : "soak";
  }

  /** May its parameters change while it is connected? */
  get isFickle(): boolean {
    return this.#client % kinds === 9;
  }

  /** Parameters of the startup packet. */
  get startup(): Record<string, string> {
    const parameters = { application_name: this.applicationName, client_encoding: "UTF8" };
    return this.dateStyle === dateStyles[0] ? parameters : { ...parameters, DateStyle: this.dateStyle.name };
  }
}
