/** The pipeline does with random scripts what PostgreSQL's rules of answering say. */
import { expect, test } from "vitest";
import { Pipeline } from "../../../src/pipeline/pipeline.ts";
import { agreesWithModel } from "./model-agreement.ts";

const RUNS = 1500;

test("answers, what is undone and emptiness are those of the model, however answers are cut", () => {
  expect(() => agreesWithModel(Pipeline, false, RUNS)).not.toThrow();
});

test("so also with Syncs sent into a COPY that fails, but for emptiness while more may come", () => {
  expect(() => agreesWithModel(Pipeline, true, RUNS)).not.toThrow();
});
