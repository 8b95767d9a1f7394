/** Users and groups in the text of their files; becoming another user, in a process of its own. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { findGroup, findUser, userName } from "../../../src/net/system-user.ts";

const PASSWD = `root:x:0:0:root:/root:/bin/bash
daemon:x:1:2:daemon:/usr/sbin:/usr/sbin/nologin

# a comment: not a user
broken:x:minus one:1::/:
short
postgres:x:107:113:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash
`;

describe("the user table", () => {
  test("finds a user by its whole name", () => {
    expect(findUser("postgres", PASSWD)).toEqual({ name: "postgres", uid: 107, gid: 113 });
    expect(findUser("root", PASSWD)).toEqual({ name: "root", uid: 0, gid: 0 });
  });

  test.each(["post", "POSTGRES", "broken", "short", "", "# a comment", "107"])("there is no user %j", (name) => {
    expect(findUser(name, PASSWD)).toBeNull();
  });

  test("finds a name by its number", () => {
    expect(userName(1, PASSWD)).toBe("daemon");
    expect(userName(113, PASSWD)).toBeNull();
  });

  test("finds a group", () => {
    const group = "root:x:0:\nssl-cert:x:112:postgres\n";
    expect(findGroup("ssl-cert", group)).toBe(112);
    expect(findGroup("postgres", group)).toBeNull();
  });

  test("reads the system's own files", () => {
    expect(findUser("root")).toEqual({ name: "root", uid: 0, gid: 0 });
    expect(findGroup("root")).toBe(0);
    expect(userName(0)).toBe("root");
  });
});

describe("becoming another user", () => {
  const script = `
    import { becomeUser, findUser } from ${JSON.stringify(new URL("../../../src/net/system-user.ts", import.meta.url).href)};
    let refusal = null;
    try { becomeUser(findUser("nobody")); } catch (error) { refusal = error.code; }
    let back = null;
    try { process.setuid(0); } catch (error) { back = error.code; }
    console.log(JSON.stringify({ refusal, back, ids: [process.getuid(), process.geteuid(), process.getgid()] }));
  `;
  const root = process.getuid?.() === 0;

  test.runIf(root && findUser("nobody") !== null)("is for good", () => {
    const nobody = findUser("nobody");
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({
      refusal: null,
      back: "EPERM",
      ids: [nobody?.uid, nobody?.uid, nobody?.gid],
    });
  });

  test.runIf(!root)("is refused to who is not root", () => {
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
    expect(JSON.parse(stdout)).toMatchObject({ refusal: "EPERM" });
  });
});
