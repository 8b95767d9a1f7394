/** The list of everything that is played. */
import type { ScenarioGroup } from "../stage.ts";
import { consoleGroups } from "./console.ts";
import { loginGroups } from "./logins.ts";
import { operationGroups } from "./operations.ts";
import { processGroups } from "./processes.ts";
import { queryGroups } from "./queries.ts";
import { startupGroups } from "./startup.ts";

export const scenarioGroups: readonly ScenarioGroup[] = [
  ...consoleGroups,
  ...startupGroups,
  ...loginGroups,
  ...queryGroups,
  ...operationGroups,
  ...processGroups,
];
