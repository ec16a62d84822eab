// The HTTP API, typed by its OpenAPI document: `api.get("/api/v1/tables/{table}", {path: {table}})`.

import { ApiError, ConnectionError, isAbort } from "./errors";
import type { paths } from "./schema";
import { getStatus, setStatus } from "./status";

export { ApiError, ConnectionError, isAbort } from "./errors";
export type { components } from "./schema";

type Method = "get" | "post" | "put" | "patch" | "delete";
type Operation<P extends keyof paths, M extends Method> = M extends keyof paths[P]
  ? NonNullable<paths[P][M]>
  : never;
type PathOf<M extends Method> = {
  [P in keyof paths]: Operation<P, M> extends { responses: unknown } ? P : never;
}[keyof paths];

type PathParameters<O> = O extends { parameters: { path: infer P } } ? { path: P } : { path?: undefined };
type QueryParameters<O> = O extends { parameters: { query: infer Q } }
  ? { query: Q }
  : O extends { parameters: { query?: infer Q } }
    ? { query?: Q }
    : { query?: undefined };
type Body<O> = O extends { requestBody: { content: { "application/json": infer B } } }
  ? { body: B }
  : O extends { requestBody?: { content: { "application/json": infer B } } }
    ? { body?: B }
    : { body?: undefined };

export type Options<O> = PathParameters<O> &
  QueryParameters<O> &
  Body<O> & { signal?: AbortSignal; headers?: Record<string, string> };
type Given<O> = Record<never, never> extends Options<O> ? [options?: Options<O>] : [options: Options<O>];

type Good = 200 | 201 | 202;
type Json<R> = R extends { content: { "application/json": infer J } } ? J : undefined;
type Responses<O> = O extends { responses: infer R } ? R : never;
/** What a call answers. */
export type Answer<O> = Good & keyof Responses<O> extends never
  ? undefined
  : Json<Responses<O>[Good & keyof Responses<O>]>;
/** What `GET path` answers. */
export type Got<P extends PathOf<"get">> = Answer<Operation<P, "get">>;
/** What `POST path` answers. */
export type Posted<P extends PathOf<"post">> = Answer<Operation<P, "post">>;

interface Loose {
  path?: Record<string, unknown>;
  query?: Record<string, unknown>;
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

/** The address of a path with its parameters in place; arrays of a query are repeated. */
export function address(
  path: string,
  parameters: Record<string, unknown> = {},
  query: Record<string, unknown> = {},
): string {
  const filled = path.replaceAll(/\{(\w+)(?::path)?\}/g, (_, name: string) =>
    encodeURIComponent(String(parameters[name])),
  );
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    for (const one of Array.isArray(value) ? value : [value]) search.append(name, String(one));
  }
  const text = search.toString();
  return text ? `${filled}?${text}` : filled;
}

/** Sends a request; throws ApiError for an error answer and ConnectionError when there is none. */
async function raw(url: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { credentials: "same-origin", redirect: "error", ...init });
  } catch (problem) {
    if (isAbort(problem)) throw problem;
    setStatus({ connection: "lost" });
    throw new ConnectionError();
  }
  setStatus({ connection: "ok" });
  if (response.ok) return response;
  const body = await response.json().catch(() => ({}));
  if (response.status === 401 && getStatus().session === "in") setStatus({ session: "expired" });
  throw new ApiError(response.status, typeof body === "object" && body !== null ? body : {});
}

async function call(method: Method, path: string, options: Loose = {}): Promise<unknown> {
  const { body, signal, headers } = options;
  const response = await raw(address(path, options.path, options.query), {
    method: method.toUpperCase(),
    signal,
    // A state change without a body is JSON too: the server takes no other kind.
    headers: method === "get" ? headers : { "content-type": "application/json", ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (response.status === 204) return undefined;
  const text = await response.text();
  return text ? JSON.parse(text) : undefined;
}

function method<M extends Method>(name: M) {
  return <P extends PathOf<M>>(path: P, ...[options]: Given<Operation<P, M>>) =>
    call(name, path, options as Loose | undefined) as Promise<Answer<Operation<P, M>>>;
}

export const api = {
  get: method("get"),
  post: method("post"),
  put: method("put"),
  patch: method("patch"),
  del: method("delete"),
  raw,
};
