/**
 * What the clients of a run like to do: weights of actions and sizes, drawn with the scenario.
 */
export type Action =
  | "simple"
  | "extended"
  | "prepared"
  | "portal"
  | "pipeline"
  | "flush"
  | "block"
  | "copyIn"
  | "copyOut"
  | "functionCall"
  | "setting"
  | "discard"
  | "create"
  | "cancel"
  | "slowRead"
  | "think";

export type Ending = "terminate" | "abrupt" | "halfClose" | "midMessage" | "malformed";

export interface ClientTemper {
  readonly actionsMax: number;
  readonly actions: Readonly<Partial<Record<Action, number>>>;
  readonly endings: Readonly<Partial<Record<Ending, number>>>;
  readonly failChance: number;
  /** How many of the selects are reads that may share servers. */
  readonly readChance: number;
  /** How many of the statements write, and how often several are sent at once. */
  readonly writeChance: number;
  readonly severalChance: number;
  readonly noticeChance: number;
  readonly thinkMaxMs: number;
  readonly rowsMax: number;
  readonly rowBytesMax: number;
  readonly pauseMaxMs: number;
  /** How often a prepared statement is closed instead of used, and how often its text is the client's own. */
  readonly closeChance: number;
  readonly ownTextChance: number;
  /** What is asked for with reading stopped: so many rows of the longest, for so long. */
  readonly unreadRowsMax: number;
  readonly unreadMaxMs: number;
  /** A cancel comes within so long a time behind its statement. */
  readonly cancelMaxMs: number;
  /** How often a batch of messages leaves in several writes with time between. */
  readonly dribbleChance: number;
  /** Names of prepared statements in use; few, so that clients share them. */
  readonly names: number;
  /** Transaction blocks and unnamed state across units are promised. */
  readonly blocks: boolean;
  /** The same texts come again and again without a name. */
  readonly repeats: boolean;
}
