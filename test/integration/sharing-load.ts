/**
 * A crowd of clients that ask without pause and look closely at what they are told: each answer must be the one to its own statement.
 * What else happens to the pooler meanwhile is the test's business.
 */
import { bind, describePortal, execute, parse, query, sync, type WireClient } from "../support/wire-client.ts";
import { answerOf, type SharingStage } from "./sharing-stage.ts";

/** What a client asks in its round: messages, and the answer that it must get. */
export type Ask = (name: string, round: number) => { readonly messages: readonly Uint8Array[]; readonly types: string };

/** As Query, and as an unnamed statement with its values. */
export const asksByTurns: Ask = (name, round) =>
  round % 2 === 0
    ? { messages: [query(`select '${name}.${round}'`)], types: "TDCZ" }
    : {
        messages: [
          parse("", "select $1::text"),
          bind("", "", [`${name}.${round}`]),
          describePortal(""),
          execute(""),
          sync(),
        ],
        types: "12TDCZ",
      };

export class SharingLoad {
  readonly clients: readonly WireClient[];
  /** Answers that were right. */
  answered = 0;
  /** What was not as it must be. */
  readonly failures: string[] = [];
  #isOver = false;
  readonly #loops: Promise<void>[];

  private constructor(clients: readonly WireClient[], ask: Ask) {
    this.clients = clients;
    this.#loops = clients.map((client, number) => this.#loop(client, `client ${number}`, ask));
  }

  static async start(
    stage: SharingStage,
    count: number,
    database = "shared",
    ask: Ask = asksByTurns,
  ): Promise<SharingLoad> {
    return new SharingLoad(await stage.logins(count, database), ask);
  }

  /** Lets everybody finish what was begun. */
  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#loops);
  }

  async #loop(client: WireClient, name: string, ask: Ask): Promise<void> {
    for (let round = 0; !this.#isOver; round++) {
      const { messages, types } = ask(name, round);
      client.send(...messages);
      try {
        const answer = await answerOf(client);
        if (answer.types === types && answer.rows[0] === `${name}.${round}`) this.answered += 1;
        else this.failures.push(`${name}.${round}: ${JSON.stringify(answer)}`);
        if (!answer.types.endsWith("Z")) return;
      } catch (error) {
        this.failures.push(`${name}.${round}: ${String(error)}`);
        return;
      }
    }
  }
}
