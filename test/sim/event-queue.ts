/**
 * What is going to happen, ordered by virtual time; events of the same moment keep the order in which they were planned.
 *
 * A binary heap over parallel arrays. A cancelled event stays in the heap and is skipped when its time has come.
 */
export interface PlannedEvent {
  readonly atMs: number;
  readonly serial: number;
  /** Null once it has run or was cancelled. */
  task: (() => void) | null;
}

export class EventQueue {
  readonly #heap: PlannedEvent[] = [];
  #serial = 0;
  /** Planned and not yet run, cancelled ones included. */
  get length(): number {
    return this.#heap.length;
  }

  plan(atMs: number, task: () => void): PlannedEvent {
    const event: PlannedEvent = { atMs, serial: this.#serial++, task };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as PlannedEvent;
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  /** The time of the next event that was not cancelled, or null when nothing is planned. */
  get nextAtMs(): number | null {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined) return null;
      if (first.task !== null) return first.atMs;
      this.#removeFirst();
    }
  }

  /** Takes the next event if it is due at `untilMs`. */
  take(untilMs: number): (() => void) | null {
    const next = this.nextAtMs;
    if (next === null || next > untilMs) return null;
    const first = this.#heap[0] as PlannedEvent;
    const task = first.task;
    first.task = null;
    this.#removeFirst();
    return task;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const moved = heap.pop() as PlannedEvent;
    const count = heap.length;
    if (count === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= count) break;
      if (child + 1 < count && isBefore(heap[child + 1] as PlannedEvent, heap[child] as PlannedEvent)) child++;
      if (!isBefore(heap[child] as PlannedEvent, moved)) break;
      heap[at] = heap[child] as PlannedEvent;
      at = child;
    }
    heap[at] = moved;
  }
}

function isBefore(a: PlannedEvent, b: PlannedEvent): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.serial < b.serial);
}
