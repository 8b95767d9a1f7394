/**
 * Relays that are broken on purpose, one fault each. A simulator that lets one of them pass proves nothing.
 */
import { Buffer } from "node:buffer";
import type { Connection, ConnectionEvents } from "../../src/net/transport.ts";
import type { BrokenEngine } from "./broken-engine.ts";
import type { RelayEnd } from "./relay-engine.ts";
import { RelayEngine, relayKind } from "./relay-engine.ts";

/** Puts a fault into a relay that has just been made; its ends go through `touch` when they are paired. */
interface Fault {
  readonly fault: string;
  readonly seedsMax: number;
  /** `near` faces the client, `far` the server. */
  readonly touch: (near: RelayEnd, far: RelayEnd, relay: RelayEngine) => void;
}

const CANCEL_REQUEST = Buffer.from([0, 0, 0, 16, 4, 210, 22, 46]);
const SYNC = Buffer.from([0x53, 0, 0, 0, 4]);

const faults: readonly Fault[] = [
  {
    fault: "a byte is lost at a chunk's border",
    seedsMax: 5,
    touch: (_near, far) => everyTime(far, 7, (bytes) => bytes.subarray(0, bytes.length - 1)),
  },
  {
    fault: "a byte is sent twice at a chunk's border",
    seedsMax: 5,
    touch: (_near, far) => everyTime(far, 7, (bytes) => Buffer.concat([bytes, bytes.subarray(bytes.length - 1)])),
  },
  {
    fault: "an answer goes to another client",
    seedsMax: 20,
    touch: (near, far, relay) => {
      const pass = far.pass.bind(far);
      let chunks = 0;
      far.pass = (bytes) => {
        const other = [...relay.ends].find((end) => end !== near && end !== far && facing.has(end) && !end.closed);
        if (++chunks > 3 && other !== undefined && other.other !== null && bytes.length > 20) other.other.pass(bytes);
        else pass(bytes);
      };
      facing.add(near);
    },
  },
  {
    fault: "a Sync is swallowed",
    seedsMax: 20,
    touch: (near) =>
      everyTime(near, 4, (bytes) =>
        Buffer.from(bytes.subarray(-5)).equals(SYNC) ? bytes.subarray(0, bytes.length - 5) : bytes,
      ),
  },
  {
    fault: "two chunks change places",
    seedsMax: 20,
    touch: (_near, far) => {
      const pass = far.pass.bind(far);
      let kept: Uint8Array | null = null;
      let chunks = 0;
      far.pass = (bytes) => {
        if (kept !== null) {
          pass(bytes);
          pass(kept);
          kept = null;
        } else if (++chunks % 9 === 0) kept = bytes;
        else pass(bytes);
      };
    },
  },
  {
    fault: "memory is used again while the transport still holds it",
    seedsMax: 50,
    touch: (_near, far) => {
      const pass = far.pass.bind(far);
      far.pass = (bytes) => {
        pass(bytes);
        bytes.fill(0x23);
      };
    },
  },
  {
    fault: "reading does not go on after onDrain",
    seedsMax: 150,
    touch: (near) => {
      near.onDrain = () => {};
    },
  },
  {
    fault: "a slow reader is not waited for",
    seedsMax: 400,
    touch: (_near, far) => {
      far.pass = (bytes) => {
        if (far.other?.closed === false) far.other.connection?.write(bytes);
      };
    },
  },
  {
    fault: "the server stays connected when its client has gone",
    seedsMax: 20,
    touch: (near) => {
      near.part = () => {};
      near.onEnd = () => near.connection?.end();
    },
  },
  {
    fault: "the client stays connected when its server has gone",
    seedsMax: 50,
    touch: (_near, far) => {
      far.part = () => {};
      far.onEnd = () => far.connection?.end();
    },
  },
  {
    fault: "a callback throws",
    seedsMax: 50,
    touch: (near) => {
      let chunks = 0;
      const pass = near.pass.bind(near);
      near.pass = (bytes) => {
        if (++chunks === 12) throw new Error("thrown on purpose");
        pass(bytes);
      };
    },
  },
  {
    fault: "a client is sent away for no reason",
    seedsMax: 20,
    touch: (near) => {
      let chunks = 0;
      const pass = near.pass.bind(near);
      near.pass = (bytes) => {
        if (++chunks === 12) near.connection?.destroy();
        else pass(bytes);
      };
    },
  },
  {
    fault: "a timer outlives the engine",
    seedsMax: 5,
    touch: (near, _far, relay) => {
      near.opened = true;
      relay.setup.world.clock.after(3_600_000, () => {});
    },
  },
];

/** Ends that face a client, for the fault that mixes them up. */
const facing = new WeakSet<RelayEnd>();

export const brokenRelays: readonly BrokenEngine[] = [
  ...faults.map(({ fault, seedsMax, touch }) =>
    broken(fault, seedsMax, (setup) => touched(new RelayEngine(setup), touch)),
  ),
  broken("a cancel is sent with the key of another client", 150, (setup) => {
    const keys: Buffer[] = [];
    return touched(new RelayEngine(setup), (near, far) => {
      const listen = far.pass.bind(far);
      far.pass = (bytes) => {
        const at = Buffer.from(bytes).indexOf(Buffer.from([0x4b, 0, 0, 0, 12]));
        if (at >= 0) keys.push(Buffer.from(bytes.subarray(at + 5, at + 13)));
        listen(bytes);
      };
      const pass = near.pass.bind(near);
      near.pass = (bytes) => {
        const other = Buffer.from(bytes.subarray(0, 8)).equals(CANCEL_REQUEST)
          ? keys.findLast((key) => !key.equals(bytes.subarray(8, 16)))
          : undefined;
        pass(other === undefined ? bytes : Buffer.concat([CANCEL_REQUEST, other]));
      };
    });
  }),
];

function broken(fault: string, seedsMax: number, make: (setup: RelayEngine["setup"]) => RelayEngine): BrokenEngine {
  return {
    fault,
    seedsMax,
    breakIt: () => () => {},
    intact: relayKind,
    kind: {
      name: `relay with a fault: ${fault}`,
      pools: false,
      judgesMessages: false,
      start: async (setup) => {
        const engine = make(setup);
        await engine.start();
        return engine;
      },
    },
  };
}

function touched(relay: RelayEngine, touch: Fault["touch"]): RelayEngine {
  const accept = relay.accept.bind(relay);
  relay.accept = (connection: Connection): ConnectionEvents => {
    const near = accept(connection) as RelayEnd;
    if (near.other !== null) touch(near, near.other, relay);
    return near;
  };
  return relay;
}

/** Puts `change` into every n-th chunk that arrives at an end. */
function everyTime(end: RelayEnd, nth: number, change: (bytes: Uint8Array) => Uint8Array): void {
  const pass = end.pass.bind(end);
  let chunks = 0;
  end.pass = (bytes) => pass(++chunks % nth === 0 ? change(bytes) : bytes);
}
