import type { FormEvent } from "react";
import { useState } from "react";

import { ApiError } from "@/api/errors";
import { useSession } from "@/shell/session";
import { Button, CodeBlock, Dialog, ErrorBox, Field, Input, Select } from "@/ui";
import { ago } from "@/ui/format";

import type { SavedDraft, SavedQuery } from "./calls";
import { calls } from "./calls";
import type { QueryTab } from "./tabs";

/** What is saved of a tab. */
export function draftOf(tab: QueryTab, name: string, share: string | null): SavedDraft {
  return { name, sql: tab.sql, dialect: tab.dialect, schema: tab.schema, description: tab.saved?.description ?? "", chart: tab.chart, share };
}

/** Asks for a name, the first time that a query is saved. */
export function SaveDialog(props: { tab: QueryTab; onDone: (saved: SavedQuery) => void; onClose: () => void }) {
  const { tab, onDone, onClose } = props;
  const session = useSession();
  const [name, setName] = useState(/^Query \d+$/.test(tab.title) ? "" : tab.title);
  const [share, setShare] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const save = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      onDone(await calls.create(draftOf(tab, name.trim(), share || null)));
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && onClose()}
      title="Save the query"
      width="sm"
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button variant="primary" type="submit" form="save-query" busy={busy} disabled={!name.trim()}>
            Save
          </Button>
        </>
      }
    >
      <form id="save-query" className="flex flex-col gap-3 pb-2" onSubmit={(event) => void save(event)}>
        {error != null && <ErrorBox error={error} />}
        <Field label="Name">
          <Input autoFocus maxLength={200} value={name} onChange={(event) => setName(event.target.value)} />
        </Field>
        <Field label="Shared with" hint="Who opens it still sees only what their own grants give.">
          <Select
            value={share}
            onChange={setShare}
            options={[{ value: "", label: "Nobody else" }, ...session.roles.map((role) => ({ value: role, label: `Role ${role}` }))]}
          />
        </Field>
      </form>
    </Dialog>
  );
}

/** The stored query of a refused save; null when the error is another one. */
export function conflictOf(error: unknown): SavedQuery | null {
  if (!(error instanceof ApiError) || error.status !== 409) return null;
  const current = error.body.current;
  return typeof current === "object" && current !== null ? (current as SavedQuery) : null;
}

/** Somebody else saved meanwhile: both texts, and three ways on. Nothing is overwritten unasked. */
export function ConflictDialog(props: {
  tab: QueryTab;
  theirs: SavedQuery;
  onMine: () => void;
  onTheirs: () => void;
  onCopy: () => void;
  onClose: () => void;
}) {
  const { tab, theirs } = props;
  return (
    <Dialog
      open
      onOpenChange={(open) => !open && props.onClose()}
      width="xl"
      title={`“${theirs.name}” was changed meanwhile`}
      description={`It was saved ${ago(theirs.updated_ms)}, in another window or by somebody else. What you typed is still here.`}
      footer={
        <>
          <Button onClick={props.onCopy}>Save mine as a copy</Button>
          <Button onClick={props.onTheirs}>Take theirs</Button>
          <Button variant="primary" onClick={props.onMine}>
            Overwrite with mine
          </Button>
        </>
      }
    >
      <div className="grid gap-3 pb-2 md:grid-cols-2">
        <section className="min-w-0">
          <h3 className="text-text-2 mb-1 text-sm font-medium">Mine</h3>
          <CodeBlock code={tab.sql} language="sql" className="h-72" />
        </section>
        <section className="min-w-0">
          <h3 className="text-text-2 mb-1 text-sm font-medium">Stored (version {theirs.version})</h3>
          <CodeBlock code={theirs.sql} language="sql" className="h-72" />
        </section>
      </div>
    </Dialog>
  );
}
