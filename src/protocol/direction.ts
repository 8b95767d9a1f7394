/**
 * Which way finished bytes go, kept by the compiler: what was built for a client cannot be written to a server.
 *
 * The marks exist in types only; both are plain `Uint8Array`s. CopyData and CopyDone look the same both ways and carry both.
 */

declare const toServer: unique symbol;
declare const toClient: unique symbol;

/** Complete messages of a frontend: for PostgreSQL. */
export type ToServer = Uint8Array & { readonly [toServer]: true };

/** Complete messages of a backend: for a client. */
export type ToClient = Uint8Array & { readonly [toClient]: true };
