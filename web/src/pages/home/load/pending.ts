// Files on their way from where they were dropped to the page that loads them.

let pending: File[] = [];

/** Keeps files for the page that is about to open. */
export function hand(files: readonly File[]): void {
  pending = [...files];
}

/** The files that were handed over, once. */
export function take(): File[] {
  const taken = pending;
  pending = [];
  return taken;
}
