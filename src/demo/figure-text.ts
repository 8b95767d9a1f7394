/** How figures are written for people. A missing one is a dash. */

const missing = "–";

/** 4812.3 → "4,812" */
export function count(value: number | null): string {
  return value === null || Number.isNaN(value) ? missing : Math.round(value).toLocaleString("en-US");
}

/** Three digits that matter: "0.62 ms", "14.1 ms", "1.2 s". */
export function duration(ms: number | null): string {
  if (ms === null || Number.isNaN(ms)) return missing;
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 100) return `${ms.toFixed(0)} ms`;
  return `${ms.toFixed(ms >= 10 ? 1 : 2)} ms`;
}

/** "74 MB", "1.1 GB" */
export function bytes(value: number | null): string {
  if (value === null || Number.isNaN(value)) return missing;
  const megabytes = value / 1024 / 1024;
  if (megabytes >= 1000) return `${(megabytes / 1024).toFixed(1)} GB`;
  return `${megabytes.toFixed(megabytes < 10 ? 1 : 0)} MB`;
}

/** 1 of "query" is "1 query", 2 are "2 queries". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Minutes and seconds: "1:05"; from an hour on "1:01:05". */
export function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  const tail = two(seconds % 60);
  return minutes < 60 ? `${minutes}:${tail}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${tail}`;
}
