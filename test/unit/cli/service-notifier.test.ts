/** What a service manager is told, message by message, and nothing without one. */
import { expect, test } from "vitest";
import { ServiceNotifier } from "../../../src/cli/service-notifier.ts";

function subject(address: string | undefined, monotonicUs: bigint | null = 12_345_678n) {
  const sent: [string, string][] = [];
  const notifier = new ServiceNotifier({
    address,
    send: (to, message) => sent.push([to, Buffer.from(message).toString()]),
    monotonicUs: () => monotonicUs,
  });
  return { notifier, sent };
}

test("each message goes to NOTIFY_SOCKET", () => {
  const { notifier, sent } = subject("@notify");
  notifier.ready();
  notifier.reloading();
  notifier.stopping();
  notifier.status("stats: 0 xacts/s");
  expect(sent).toEqual(
    ["READY=1", "RELOADING=1\nMONOTONIC_USEC=12345678", "STOPPING=1", "STATUS=stats: 0 xacts/s"].map((text) => [
      "@notify",
      text,
    ]),
  );
});

test("a reload without a clock is a reload", () => {
  const { notifier, sent } = subject("/run/notify", null);
  notifier.reloading();
  expect(sent).toEqual([["/run/notify", "RELOADING=1"]]);
});

test.each([undefined, ""])("with NOTIFY_SOCKET=%s nothing is sent", (address) => {
  const { notifier, sent } = subject(address);
  notifier.ready();
  notifier.reloading();
  notifier.stopping();
  expect(sent).toEqual([]);
});
