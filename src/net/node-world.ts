/** The world on Node: the real clock, network, crypto and resolver. */
import { createAfterTurn } from "./after-turn.ts";
import { createClock } from "./clock.ts";
import { createCrypto } from "./crypto.ts";
import { DescriptorPassing } from "./descriptor-passing.ts";
import { Libc } from "./libc.ts";
import { NodeTransport } from "./node-transport.ts";
import { openChannel } from "./dns-channel.ts";
import { NameServers } from "./dns-name-servers.ts";
import { SystemNames, libuvLookUpsAtOnce, readHostsFile, systemNameServers } from "./resolve.ts";
import { setSocketOptions } from "./socket-options.ts";
import type { World } from "./world.ts";

/** `libc` may be loaded ahead by a program that changes its user; by default it is loaded at first use. */
export function createNodeWorld(libc: Libc = new Libc()): World {
  const names = new SystemNames({
    nameServers: systemNameServers(openChannel),
    lookUpsAtOnceMax: libuvLookUpsAtOnce(),
  });
  let descriptors: DescriptorPassing | null | undefined;
  return {
    runtime: "node",
    transport: new NodeTransport(),
    clock: createClock(),
    crypto: createCrypto(),
    afterTurn: createAfterTurn(),
    resolve: (host) => names.resolve(host),
    zoneSerial: (zone) => names.zoneSerial(zone),
    nameServers: (conf) => new NameServers({ conf, readHosts: readHostsFile, openChannel }),
    peerCredentials: (fd) => libc.peerCredentials(fd),
    descriptors: () => (descriptors ??= DescriptorPassing.load(libc)),
    setSocketOptions: (fd, options) => setSocketOptions(libc, fd, options),
  };
}
