/** The compiler keeps messages from going the wrong way; the type check fails where an expected error is missing. */

import { expect, test } from "vitest";
import { READY_IDLE } from "../../../src/protocol/backend-messages.ts";
import { COPY_DONE } from "../../../src/protocol/copy-messages.ts";
import type { ToClient, ToServer } from "../../../src/protocol/direction.ts";
import { SYNC } from "../../../src/protocol/frontend-messages.ts";

test("each way takes its own messages only", () => {
  const sent: Uint8Array[] = [];
  const server = (message: ToServer) => sent.push(message);
  const client = (message: ToClient) => sent.push(message);
  server(SYNC);
  client(READY_IDLE);
  server(COPY_DONE);
  client(COPY_DONE);
  // @ts-expect-error a client's message is not for a client
  client(SYNC);
  // @ts-expect-error a server's message is not for a server
  server(READY_IDLE);
  // @ts-expect-error bytes of unknown direction are for neither
  server(new Uint8Array(5));
  expect(sent).toHaveLength(7);
});
