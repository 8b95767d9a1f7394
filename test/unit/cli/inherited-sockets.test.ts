/** LISTEN_FDS and LISTEN_PID: what is ours, what is not, and what kind each socket is. */
import { describe, expect, test } from "vitest";
import { inheritedSockets } from "../../../src/cli/inherited-sockets.ts";

const families: Readonly<Record<number, "unix" | "ipv4" | "ipv6">> = { 3: "ipv4", 4: "unix", 5: "ipv6" };
const facts = { socketFamily: (fd: number) => families[fd] ?? null };

test("TCP and Unix sockets are told apart, from descriptor 3 on", () => {
  expect(inheritedSockets({ LISTEN_PID: "42", LISTEN_FDS: "3" }, 42, facts)).toEqual([
    { fd: 3, isUnixSocket: false },
    { fd: 4, isUnixSocket: true },
    { fd: 5, isUnixSocket: false },
  ]);
});

describe("nothing was passed to us", () => {
  test.each([
    [{}],
    [{ LISTEN_FDS: "1" }],
    [{ LISTEN_PID: "41", LISTEN_FDS: "1" }],
    [{ LISTEN_PID: "42x", LISTEN_FDS: "1" }],
    [{ LISTEN_PID: "42" }],
    [{ LISTEN_PID: "42", LISTEN_FDS: "0" }],
    [{ LISTEN_PID: "42", LISTEN_FDS: "-1" }],
    [{ LISTEN_PID: "42", LISTEN_FDS: "1.5" }],
    [{ LISTEN_PID: "42", LISTEN_FDS: "100000" }],
    [{ LISTEN_PID: "42", LISTEN_FDS: "many" }],
  ])("with %j", (env) => {
    expect(inheritedSockets(env, 42, facts)).toEqual([]);
  });
});

test("a descriptor that is no socket is a refusal", () => {
  expect(inheritedSockets({ LISTEN_PID: "42", LISTEN_FDS: "4" }, 42, facts)).toBe(
    "failed to set up socket passed from service manager (fd 6)",
  );
});
