/**
 * A pipeline written down, so that another process can go on with it: what one client has asked and was not yet answered.
 * Plain numbers and truths, which survive JSON.
 */
export interface PipelineForm {
  /** Kinds and flags of `step.ts`, with `NOBODY`. */
  readonly steps: readonly number[];
  /** As the fields of these names in `pipeline.ts`. */
  readonly open: boolean;
  readonly skipping: boolean;
  readonly copyIn: boolean;
  readonly copyEndSent: boolean;
  readonly syncsInCopy: number;
  readonly lateReadies: number;
  readonly ownReadyFirst: boolean;
  /** What a prepared statement's name means was not decided yet: the server must not be used for others afterwards. */
  readonly undecided: boolean;
}

/** Whether `value`, from another process, has the shape. */
export function isPipelineForm(value: unknown): value is PipelineForm {
  if (typeof value !== "object" || value === null) return false;
  const form = value as Record<keyof PipelineForm, unknown>;
  const truths = [form.open, form.skipping, form.copyIn, form.copyEndSent, form.ownReadyFirst, form.undecided];
  return (
    Array.isArray(form.steps) &&
    form.steps.every((step) => Number.isInteger(step)) &&
    truths.every((truth) => typeof truth === "boolean") &&
    Number.isInteger(form.syncsInCopy) &&
    Number.isInteger(form.lateReadies)
  );
}
