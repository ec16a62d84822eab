// What can go wrong with a call, as the pages show it.

export interface Place {
  line: number;
  column: number;
}

/** An error that the server answered: its stable code, its words, what to do, where in a text. */
export class ApiError extends Error {
  readonly code: string;
  readonly hint: string | null;
  readonly position: Place | null;
  readonly status: number;
  /** The whole answer, for errors that carry more. */
  readonly body: Record<string, unknown>;

  constructor(status: number, body: Record<string, unknown>) {
    super(typeof body.message === "string" ? body.message : `the server answered ${status}`);
    this.name = "ApiError";
    this.status = status;
    this.body = body;
    this.code = typeof body.code === "string" ? body.code : `HTTP_${status}`;
    this.hint = typeof body.hint === "string" ? body.hint : null;
    this.position = isPlace(body.position) ? body.position : null;
  }
}

/** The server did not answer at all. */
export class ConnectionError extends Error {
  constructor() {
    super("the server does not answer");
    this.name = "ConnectionError";
  }
}

function isPlace(value: unknown): value is Place {
  return typeof value === "object" && value !== null && "line" in value && "column" in value;
}

/** True for what a cancelled fetch throws. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

function sentence(text: string): string {
  return text ? text.charAt(0).toUpperCase() + text.slice(1) : text;
}

/** Any thrown thing as words. */
export function explain(error: unknown): { code: string | null; message: string; hint: string | null } {
  if (error instanceof ApiError) {
    return { code: error.code, message: sentence(error.message), hint: error.hint && sentence(error.hint) };
  }
  if (error instanceof ConnectionError) {
    return {
      code: null,
      message: "The server does not answer.",
      hint: "The page goes on by itself once it does; nothing that you typed is lost.",
    };
  }
  if (typeof error === "object" && error !== null && "message" in error) {
    const { message, code, hint } = error as { message: unknown; code?: unknown; hint?: unknown };
    return {
      code: typeof code === "string" ? code : null,
      message: sentence(String(message)),
      hint: typeof hint === "string" ? sentence(hint) : null,
    };
  }
  return { code: null, message: sentence(String(error)), hint: null };
}
