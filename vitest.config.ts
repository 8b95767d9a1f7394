/**
 * Vitest, for all parts of the suite (scripts/test.ts runs them one by one).
 *
 * Two workers: the integration files start clusters and poolers of their own, and measure time-outs; more at once than
 * the machine has cores would only make them wait for each other.
 */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
