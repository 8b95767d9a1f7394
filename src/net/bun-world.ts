/** The world on Bun: the real clock, network, crypto and resolver. */
import { createAfterTurn } from "./after-turn.ts";
import { createClock } from "./clock.ts";
import { createCrypto } from "./crypto.ts";
import { DescriptorPassing } from "./descriptor-passing.ts";
import { Libc } from "./libc.ts";
import { BunTransport } from "./bun-transport.ts";
import { openForgetfulChannel } from "./dns-channel.ts";
import { NameServers } from "./dns-name-servers.ts";
import { SystemNames, readHostsFile, systemNameServers } from "./resolve.ts";
import { setSocketOptions } from "./socket-options.ts";
import type { World } from "./world.ts";

/** `libc` may be loaded ahead by a program that changes its user; by default it is loaded at first use. */
export function createBunWorld(libc: Libc = new Libc()): World {
  // Bun's threads may be two on a small machine, and PBKDF2 wants one.
  const names = new SystemNames({ nameServers: systemNameServers(openForgetfulChannel), lookUpsAtOnceMax: 1 });
  let descriptors: DescriptorPassing | null | undefined;
  return {
    runtime: "bun",
    transport: new BunTransport(libc),
    clock: createClock(),
    crypto: createCrypto(),
    afterTurn: createAfterTurn(),
    resolve: (host) => names.resolve(host),
    zoneSerial: (zone) => names.zoneSerial(zone),
    nameServers: (conf) => new NameServers({ conf, readHosts: readHostsFile, openChannel: openForgetfulChannel }),
    peerCredentials: (fd) => libc.peerCredentials(fd),
    descriptors: () => (descriptors ??= DescriptorPassing.load(libc)),
    setSocketOptions: (fd, options) => setSocketOptions(libc, fd, options),
  };
}
