/** Which questions name servers are asked, in which order, and what is made of their answers. */
import { expect, test } from "vitest";
import type { DnsChannel } from "../../../src/net/dns-channel.ts";
import { NameServers } from "../../../src/net/dns-name-servers.ts";
import { parseResolvConf } from "../../../src/net/dns-resolv-conf.ts";

interface Setup {
  readonly lines?: readonly string[];
  readonly hosts?: string;
  readonly hasIpv4?: boolean;
  /** "A name" or "AAAA name": addresses, or the code of an error. What is missing is ENOTFOUND. */
  readonly answers?: Readonly<Record<string, readonly string[] | string>>;
}

function setUp({ lines = [], hosts = "", hasIpv4 = true, answers = {} }: Setup): {
  names: NameServers;
  asked: string[];
} {
  const asked: string[] = [];
  const { conf } = parseResolvConf(["nameserver 192.0.2.1", ...lines].join("\n"));
  const names = new NameServers({
    conf,
    readHosts: () => hosts,
    hasIpv4: () => hasIpv4,
    openChannel: (servers): DnsChannel => {
      const answer = async (question: string): Promise<readonly string[]> => {
        asked.push(conf.rotate ? `${servers[0]}: ${question}` : question);
        const found = answers[question] ?? "ENOTFOUND";
        if (typeof found === "string") throw Object.assign(new Error(`${found} ${question}`), { code: found });
        return found;
      };
      return {
        resolve4: (name) => answer(`A ${name}`),
        resolve6: (name) => answer(`AAAA ${name}`),
        resolveSoa: async (name) => ({ serial: Number((await answer(`SOA ${name}`))[0]) }),
      };
    },
  });
  return { names, asked };
}

test("addresses and this machine are not asked for", async () => {
  const { names, asked } = setUp({});
  expect(await names.resolve("192.0.2.5")).toEqual(["192.0.2.5"]);
  expect(await names.resolve("2001:db8::5")).toEqual(["2001:db8::5"]);
  expect(await names.resolve("localhost")).toEqual(["127.0.0.1"]);
  expect(await names.resolve("any.LocalHost.")).toEqual(["127.0.0.1"]);
  expect(asked).toEqual([]);
});

test("the hosts file comes first", async () => {
  const { names, asked } = setUp({ hosts: "192.0.2.7 Db.example db\n::7 six\n", answers: { "A db": ["192.0.2.9"] } });
  expect(await names.resolve("db")).toEqual(["192.0.2.7"]);
  expect(await names.resolve("DB.EXAMPLE.")).toEqual(["192.0.2.7"]);
  expect(await names.resolve("six")).toEqual(["::7"]);
  expect(asked).toEqual([]);
});

test("IPv4 where this machine has it, else IPv6; the other family when there is no choice", async () => {
  const answers = {
    "A both.example": ["192.0.2.1", "192.0.2.1", "192.0.2.2"],
    "AAAA both.example": ["2001:db8::1"],
    "A four.example": ["192.0.2.4"],
    "AAAA four.example": "ENODATA",
    "A six.example": "ENODATA",
    "AAAA six.example": ["2001:db8::6"],
  };
  const { names } = setUp({ answers });
  expect(await names.resolve("both.example")).toEqual(["192.0.2.1", "192.0.2.2"]);
  expect(await names.resolve("four.example")).toEqual(["192.0.2.4"]);
  expect(await names.resolve("six.example")).toEqual(["2001:db8::6"]);
  const only6 = setUp({ answers, hasIpv4: false });
  expect(await only6.names.resolve("both.example")).toEqual(["2001:db8::1"]);
  expect(await only6.names.resolve("four.example")).toEqual(["192.0.2.4"]);
});

test("search domains: before the name as it is for one without a dot, behind it for one with", async () => {
  const { names, asked } = setUp({ lines: ["search one.example two.example"], answers: { "A db": ["192.0.2.1"] } });
  expect(await names.resolve("db")).toEqual(["192.0.2.1"]);
  expect(asked.filter((question) => question.startsWith("A "))).toEqual([
    "A db.one.example",
    "A db.two.example",
    "A db",
  ]);
  asked.length = 0;
  await expect(names.resolve("db.far")).rejects.toMatchObject({ code: "ENOTFOUND" });
  expect(asked.filter((question) => question.startsWith("A "))).toEqual([
    "A db.far",
    "A db.far.one.example",
    "A db.far.two.example",
  ]);
  asked.length = 0;
  await expect(names.resolve("db.far.")).rejects.toMatchObject({ code: "ENOTFOUND" });
  expect(asked).toEqual(["A db.far.", "AAAA db.far."]);
});

test("a server that fails is not the last word, one that is silent is", async () => {
  const failing = setUp({
    lines: ["search one.example two.example"],
    answers: { "A db.one.example": "ESERVFAIL", "A db.two.example": ["192.0.2.2"] },
  });
  expect(await failing.names.resolve("db")).toEqual(["192.0.2.2"]);
  await expect(
    setUp({ lines: ["search one.example"], answers: { "A db.one.example": "ESERVFAIL" } }).names.resolve("db"),
  ).rejects.toMatchObject({ code: "ESERVFAIL" });
  const silent = setUp({ lines: ["search one.example"], answers: { "A db.one.example": "ETIMEOUT", "A db": ["::1"] } });
  await expect(silent.names.resolve("db")).rejects.toMatchObject({ code: "ETIMEOUT" });
  expect(silent.asked).not.toContain("A db");
});

test("rotate: each look-up begins with another server", async () => {
  const { names, asked } = setUp({
    lines: ["nameserver 192.0.2.2", "options rotate"],
    answers: { "A db.example": ["192.0.2.9"], "SOA example": ["77"] },
  });
  await names.resolve("db.example");
  await names.resolve("db.example");
  expect(await names.zoneSerial("example")).toBe(77);
  expect(asked.filter((question) => !question.includes("AAAA"))).toEqual([
    "192.0.2.2: A db.example",
    "192.0.2.1: A db.example",
    "192.0.2.2: SOA example",
  ]);
});
