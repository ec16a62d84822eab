import type { components, Posted } from "@/api/client";

/** Where another catalog is, as the form holds it; the secret stays in memory only. */
export type Address = Required<Omit<components["schemas"]["CatalogAddress"], "secret" | "locations">> & { secret: string };
export type Found = Posted<"/api/v1/connections/test">;

export const EMPTY: Address = {
  name: "",
  uri: "",
  warehouse: "",
  prefix: "",
  authentication: "none",
  secret: "",
  client_id: "",
  token_uri: "",
  scope: "",
  ca_cert: "",
  s3_endpoint: "",
};

/** The body of a request; a secret only where one is used. */
export const bodyOf = (address: Address) => ({
  ...address,
  name: address.name.trim() || "probe",
  uri: address.uri.trim(),
  secret: address.authentication === "none" ? null : address.secret,
});

/** The schema that a namespace becomes unless another is chosen; the server does the same. */
export const usualSchema = (name: string, namespace: readonly string[]): string =>
  [name.trim(), ...namespace].join("_").replaceAll(/[^\p{L}\p{N}_]+/gu, "_");
