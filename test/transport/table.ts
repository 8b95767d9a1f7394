/**
 * The shared table of transport tests: every transport, real or simulated, is put to it.
 *
 * `plain-table.ts` is for all; `tls-table.ts` and `system-table.ts` for those that have TLS, and a real system below.
 */
import { describe } from "vitest";
import { describePlain } from "./plain-table.ts";
import type { Subject } from "./subject.ts";
import { describeSystem } from "./system-table.ts";
import { describeTls } from "./tls-table.ts";

export interface TableParts {
  readonly tls: boolean;
  readonly system: boolean;
}

export function describeTransport(subject: Subject, parts: TableParts): void {
  describe("plain connections", () => {
    describePlain(subject);
  });
  describe.runIf(parts.tls)("TLS", () => {
    describeTls(subject);
  });
  describe.runIf(parts.system)("system", () => {
    describeSystem(subject);
  });
}
