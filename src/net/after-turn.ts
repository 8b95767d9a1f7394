/**
 * Tasks for the end of the current turn of the event loop.
 *
 * On both runtimes `setImmediate` runs after the data callbacks of all sockets that were ready in one poll; microtasks
 * and `process.nextTick` run after the first one. One immediate serves all tasks of a turn, and the two arrays that hold
 * them are swapped and used again: a call allocates nothing.
 */

/** A `World.afterTurn` of its own. A task that throws does not keep the others from running; its error is thrown after them. */
export function createAfterTurn(): (task: () => void) => void {
  let pending: (() => void)[] = [];
  let running: (() => void)[] = [];

  const run = (): void => {
    const tasks = pending;
    pending = running;
    running = tasks;
    let failed = false;
    let failure: unknown;
    for (let i = 0; i < tasks.length; i++) {
      try {
        (tasks[i] as () => void)();
      } catch (error) {
        if (!failed) failure = error;
        failed = true;
      }
    }
    tasks.length = 0;
    if (failed) throw failure;
  };

  return (task) => {
    if (pending.push(task) === 1) setImmediate(run);
  };
}
