/** resolv.conf and hosts files. */
import { describe, expect, test } from "vitest";
import { parseHostsFile } from "../../../src/net/dns-hosts-file.ts";
import { parseResolvConf } from "../../../src/net/dns-resolv-conf.ts";

describe("resolv.conf", () => {
  test("name servers, search domains and options", () => {
    const { conf, problems } = parseResolvConf(`
# a comment
; another
nameserver 192.0.2.1   # behind a line
nameserver 2001:db8::1
nameserver fe80::1%eth0
nameserver 127.0.0.1:5353
nameserver [::1]:53
domain ignored.example
search one.example two.example.
options ndots:2 timeout:3 attempts:4 rotate edns0 no-such-option:7
sortlist 130.155.160.0/255.255.240.0
`);
    expect(problems).toEqual([]);
    expect(conf).toEqual({
      servers: ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "127.0.0.1:5353", "[::1]:53"],
      search: ["one.example", "two.example"],
      ndots: 2,
      timeoutMs: 3000,
      attempts: 4,
      rotate: true,
    });
  });

  test("defaults, and the last of domain and search", () => {
    const { conf } = parseResolvConf("nameserver 192.0.2.1\nsearch a.example\ndomain b.example c.example\n");
    expect(conf).toMatchObject({ search: ["b.example"], ndots: 1, timeoutMs: 5000, attempts: 2, rotate: false });
  });

  test("numbers have bounds", () => {
    const { conf } = parseResolvConf("nameserver ::1\noptions ndots:99 timeout:0 attempts:99\r\n");
    expect(conf).toMatchObject({ servers: ["::1"], ndots: 15, timeoutMs: 1000, attempts: 5 });
  });

  test.each([
    ["", [{ line: 0, message: "no nameserver" }]],
    ["search a.example\n", [{ line: 0, message: "no nameserver" }]],
    ["nameserver\n", [{ line: 1, message: 'invalid nameserver ""' }]],
    ["\nnameserver ns.example\n", [{ line: 2, message: 'invalid nameserver "ns.example"' }]],
    ["nameserver 1.2.3.4:0\n", [{ line: 1, message: 'invalid nameserver "1.2.3.4:0"' }]],
    ["nameserver [1.2.3.4]:53\n", [{ line: 1, message: 'invalid nameserver "[1.2.3.4]:53"' }]],
    ["nameserver 1.2.3.4:70000\n", [{ line: 1, message: 'invalid nameserver "1.2.3.4:70000"' }]],
    [
      "nameserver x\nnameserver 1.2.3.4\noptions timeout:soon",
      [
        { line: 1, message: 'invalid nameserver "x"' },
        { line: 3, message: 'invalid option "timeout:soon"' },
      ],
    ],
  ])("%j is refused", (text, expected) => {
    expect(parseResolvConf(text).problems).toEqual(expected);
  });
});

test("a hosts file", () => {
  const hosts = parseHostsFile(`
127.0.0.1	localhost
::1 localhost ip6-localhost # loopback
192.0.2.7 DB.example db
192.0.2.8 db
192.0.2.8 db
not-an-address db
#192.0.2.9 db
`);
  expect(Object.fromEntries(hosts)).toEqual({
    localhost: ["127.0.0.1", "::1"],
    "ip6-localhost": ["::1"],
    "db.example": ["192.0.2.7"],
    db: ["192.0.2.7", "192.0.2.8"],
  });
});
