import { LogIn } from "lucide-react";
import type { FormEvent } from "react";
import { useState } from "react";

import { Button, CodeBlock, Dialog, ErrorBox, Field, Input } from "@/ui";

import mark from "./mark.svg";
import type { Session } from "./session";
import { login } from "./session";

/** Takes a token; it goes to the server and is kept nowhere in the page. */
function TokenForm({ onLogin, failed }: { onLogin: (session: Session) => void; failed?: unknown }) {
  const [token, setToken] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(failed);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      // A whole link may be pasted too.
      onLogin(await login(token.split("#token=").at(-1) ?? ""));
      setToken("");
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-3">
      {error != null && <ErrorBox error={error} />}
      <Field label="Token" hint="Or the whole link that `headwater up` printed.">
        <Input
          type="password"
          name="token"
          required
          autoFocus
          value={token}
          onChange={(event) => setToken(event.target.value)}
        />
      </Field>
      <Button type="submit" variant="primary" icon={LogIn} busy={busy} disabled={!token.trim()}>
        Log in
      </Button>
    </form>
  );
}

/** The page for whoever is not logged in. */
export function Login({ onLogin, failed }: { onLogin: (session: Session) => void; failed?: unknown }) {
  return (
    <main className="flex h-full items-start justify-center overflow-auto px-4 pt-[16vh]">
      <div className="bg-surface w-full max-w-sm rounded-lg border p-6 shadow-pop">
        <img src={mark} alt="" width={36} height={36} className="mb-3" />
        <h1 className="text-xl font-semibold">Headwater</h1>
        <p className="text-text-2 mb-4">Open the link that the server printed at its start, or paste a token.</p>
        <TokenForm onLogin={onLogin} failed={failed} />
        <div className="text-text-2 mt-5 flex flex-col gap-1.5 border-t pt-4 text-sm">
          <p>On the server’s machine, this prints a token:</p>
          <CodeBlock code="headwater token --user admin --ttl 12h" />
        </div>
      </div>
    </main>
  );
}

/** Over the page, which keeps everything that was typed, once the session has ended. */
export function ExpiredDialog(props: { open: boolean; name: string; onLogin: (session: Session) => void }) {
  return (
    <Dialog
      open={props.open}
      onOpenChange={() => undefined}
      dismissable={false}
      width="sm"
      title="Your session has ended"
      description={`Log in again as ${props.name} and go on where you were: nothing that you typed is lost.`}
    >
      <div className="pb-3">
        <TokenForm onLogin={props.onLogin} />
      </div>
    </Dialog>
  );
}
