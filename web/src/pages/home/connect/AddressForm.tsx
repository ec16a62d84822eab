import { useMutation } from "@tanstack/react-query";
import { PlugZap } from "lucide-react";
import { type FormEvent, type ReactNode, useState } from "react";

import { api } from "@/api/client";
import { Button, Card, ErrorBox, Field, Input, Select, Textarea } from "@/ui";

import { type Address, bodyOf, type Found } from "./address";

const WAYS: { value: Address["authentication"]; label: string }[] = [
  { value: "none", label: "No login" },
  { value: "token", label: "Bearer token" },
  { value: "oauth2", label: "OAuth2 client credentials" },
];

interface Props {
  address: Address;
  onChange: (address: Address) => void;
  onFound: (found: Found) => void;
}

/** Where the catalog is and how to log in there; the test asks it. */
export function AddressForm({ address, onChange, onFound }: Props): ReactNode {
  const [more, setMore] = useState(false);
  const test = useMutation({
    mutationFn: () => api.post("/api/v1/connections/test", { body: bodyOf(address) }),
    onSuccess: onFound,
  });
  const set = (part: Partial<Address>) => {
    test.reset();
    onChange({ ...address, ...part });
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    test.mutate();
  };
  const way = address.authentication;
  return (
    <Card title="Where it is">
      <form onSubmit={submit} className="flex flex-col gap-3 p-3">
        <div className="grid gap-3 sm:grid-cols-2">
          <Field label="URL" hint="What comes before /v1" required className="sm:col-span-2">
            <Input type="url" required value={address.uri} placeholder="https://catalog.example/api/catalog" onChange={(event) => set({ uri: event.target.value })} />
          </Field>
          <Field label="Warehouse" hint="As it is called over there; some catalogs need none">
            <Input value={address.warehouse} onChange={(event) => set({ warehouse: event.target.value })} />
          </Field>
          <Field label="Login">
            <Select value={way} onChange={(value) => set({ authentication: value as Address["authentication"] })} options={WAYS} />
          </Field>
          {way === "oauth2" && (
            <>
              <Field label="Client id" required><Input required value={address.client_id} onChange={(event) => set({ client_id: event.target.value })} /></Field>
              <Field label="Scope"><Input value={address.scope} placeholder="PRINCIPAL_ROLE:ALL" onChange={(event) => set({ scope: event.target.value })} /></Field>
            </>
          )}
          {way !== "none" && (
            <Field label={way === "token" ? "Token" : "Client secret"} hint="Kept in a file of the server that only it can read" required className="sm:col-span-2">
              <Input type="password" required autoComplete="new-password" value={address.secret} onChange={(event) => set({ secret: event.target.value })} />
            </Field>
          )}
          {more && (
            <>
              <Field label="Prefix" hint="Instead of the one that its config names"><Input value={address.prefix} onChange={(event) => set({ prefix: event.target.value })} /></Field>
              <Field label="S3 endpoint" hint="One that the catalog may name, beside its own host and Amazon's"><Input value={address.s3_endpoint} onChange={(event) => set({ s3_endpoint: event.target.value })} /></Field>
              {way === "oauth2" && <Field label="Token URL" hint="The catalog's own when left out" className="sm:col-span-2"><Input value={address.token_uri} onChange={(event) => set({ token_uri: event.target.value })} /></Field>}
              <Field label="Certificate of its authority (PEM)" className="sm:col-span-2"><Textarea className="mono w-full" value={address.ca_cert} onChange={(event) => set({ ca_cert: event.target.value })} /></Field>
            </>
          )}
        </div>
        {test.error && <ErrorBox error={test.error} />}
        <div className="flex items-center gap-2">
          <Button type="submit" variant="primary" icon={PlugZap} busy={test.isPending} disabled={!address.uri.trim()}>Test</Button>
          {!more && <Button variant="ghost" onClick={() => setMore(true)}>More settings</Button>}
        </div>
      </form>
    </Card>
  );
}
