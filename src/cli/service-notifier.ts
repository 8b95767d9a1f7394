/**
 * What a service manager is told, over the socket that NOTIFY_SOCKET names (sd_notify(3)): that we are up, reload, go
 * down, and the figures of the last period. Without that variable nothing is sent. PgBouncer's messages at its moments.
 */

export interface NotifierOptions {
  /** NOTIFY_SOCKET: a path, or an abstract name that begins with `@`; undefined when nobody listens. */
  readonly address: string | undefined;
  /** Sends one datagram at once, or loses it. */
  readonly send: (address: string, message: Uint8Array) => void;
  /** CLOCK_MONOTONIC in microseconds; null when it is not known. */
  readonly monotonicUs: () => bigint | null;
}

export class ServiceNotifier {
  readonly #options: NotifierOptions;

  constructor(options: NotifierOptions) {
    this.#options = options;
  }

  /** We serve: after the start, and after each reload. */
  ready(): void {
    this.#tell("READY=1");
  }

  /** A reload begins. Type=notify-reload needs the time, to tell this reload from an earlier one. */
  reloading(): void {
    const us = this.#options.monotonicUs();
    this.#tell(us === null ? "RELOADING=1" : `RELOADING=1\nMONOTONIC_USEC=${us}`);
  }

  /** A shutdown begins. */
  stopping(): void {
    this.#tell("STOPPING=1");
  }

  /** One line for `systemctl status`. */
  status(text: string): void {
    this.#tell(`STATUS=${text}`);
  }

  #tell(state: string): void {
    const { address, send } = this.#options;
    if (address !== undefined && address !== "") send(address, Buffer.from(state));
  }
}
