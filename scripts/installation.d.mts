/** Types of `installation.mjs`, which is plain JavaScript because it runs before anything is installed. */
export function nodePath(root: string): string;
export function bunPath(root: string): string | null;
export function postgresFolder(root: string): string | null;
export function installationProblem(root: string): string | null;
export function hydrateSymlinks(root: string): void;
