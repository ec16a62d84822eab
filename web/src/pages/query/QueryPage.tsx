import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Bookmark, PanelLeft, Play, Save, Sparkles, Square } from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { isAbort } from "@/api/errors";
import { useKeys } from "@/shell/keys";
import { onDraft, takeDrafts } from "@/shell/openQuery";
import { Page } from "@/shell/Page";
import { useSession } from "@/shell/session";
import { getStored, setStored, useStored } from "@/shell/stored";
import { useUrl } from "@/shell/url";
import { Button, IconButton, Select, Split, toast, toastError } from "@/ui";

import type { HistoryRow, SavedQuery, Submission } from "./calls";
import { calls, DIALECTS, dialectOf } from "./calls";
import type { EditorHandle, Marked } from "./Editor";
import { Editor } from "./Editor";
import { engineOf, EngineSelect } from "./engines";
import { type Panel, positionOf, Results } from "./Results";
import { cancel, forget, isRunning, resume, start, useRun } from "./run";
import { ConflictDialog, conflictOf, draftOf, SaveDialog } from "./Save";
import { Side, type SidePanel } from "./Side";
import { type QueryTab, savedPart, tabsOf, unsaved, useTabs } from "./tabs";
import { TabStrip } from "./TabStrip";

const TEXTS_KEPT = 100;

interface Search {
  tab?: string;
  view?: Panel;
  sql?: string;
  saved?: string;
  schema?: string;
  dialect?: string;
}

/** The Query page: tabs, the editor, and what the statements answer. */
export function QueryPage() {
  const session = useSession();
  const tabs = tabsOf(session.name);
  const all = useTabs(tabs);
  const [search, setSearch] = useUrl<Search>();
  const [side, setSide] = useStored<SidePanel | null>("query.side", null);
  const editor = useRef<EditorHandle>(null);
  const client = useQueryClient();
  const [saving, setSaving] = useState(false);
  const [conflict, setConflict] = useState<SavedQuery | null>(null);
  const [working, setWorking] = useState(false);
  const runNext = useRef<string | null>(null);
  const opening = useRef(false);
  const shown = useRef(true);
  useEffect(() => {
    shown.current = true;
    return () => {
      shown.current = false;
    };
  }, []);

  const tab = all.find((one) => one.id === search.tab) ?? all.at(-1) ?? null;
  const panel: Panel = search.view ?? "result";
  const id = tab?.id ?? "";
  const run = useRun(id);
  const running = isRunning(run);

  const show = useCallback((next: string, how?: { push?: boolean }) => setSearch({ tab: next, view: undefined }, how), [setSearch]);
  const openTab = useCallback(
    (given: Partial<QueryTab> = {}) => {
      const made = tabs.open(given);
      show(made.id, { push: true });
      return made;
    },
    [tabs, show],
  );

  const openSaved = useCallback(
    (query: SavedQuery) => {
      const there = tabs.get().find((one) => one.saved?.id === query.id);
      if (!there) openTab(savedPart(query));
      else {
        if (!unsaved(there) && there.saved && there.saved.version < query.version) tabs.change(there.id, savedPart(query));
        show(there.id);
      }
    },
    [openTab, show, tabs],
  );

  // What was handed over by another page, or came with a link. A link never runs anything.
  useEffect(() => {
    const take = () => {
      for (const draft of takeDrafts()) {
        const { run: now, ...given } = draft;
        const made = openTab({ ...given, schema: given.schema ?? null });
        if (now) runNext.current = made.id;
      }
    };
    take();
    return onDraft(take);
  }, [openTab]);
  useEffect(() => {
    if (search.sql === undefined) return;
    const made = tabs.open({ sql: search.sql, schema: search.schema ?? null, dialect: dialectOf(search.dialect) });
    setSearch({ tab: made.id, sql: undefined, schema: undefined, dialect: undefined });
  }, [search.sql, search.schema, search.dialect, tabs, setSearch]);
  useEffect(() => {
    if (search.saved === undefined) return;
    setSearch({ saved: undefined });
    opening.current = true;
    void calls
      .savedOne(search.saved)
      .then((query) => shown.current && openSaved(query), toastError)
      .finally(() => {
        opening.current = false;
        if (tabs.get().length === 0) tabs.open();
      });
  }, [search.saved, openSaved, setSearch, tabs]);
  useEffect(() => {
    // The store is asked, not this render: a draft may have become a tab just now.
    if (tabs.get().length === 0 && search.sql === undefined && !opening.current) tabs.open();
  }, [all.length, search.sql, tabs]);
  useEffect(() => {
    // One change of the address at a time: of two at once, the second undoes the first.
    if (tab && search.tab !== tab.id && search.sql === undefined && search.saved === undefined) setSearch({ tab: tab.id });
  }, [tab, search.tab, search.sql, search.saved, setSearch]);
  useEffect(() => {
    if (tab?.statement) void resume(tab.id, tab.statement);
    // Only when another tab is shown: its own runs are followed already.
  }, [id]);

  const change = (next: Partial<QueryTab>) => tabs.change(id, next);
  const submission = (): Submission => {
    const sql = editor.current?.current().sql ?? tab?.sql ?? "";
    return { sql, dialect: tab?.dialect ?? "trino", engine: tab ? engineOf(tab) : "auto", schema: tab?.schema ?? null, role: tab?.role ?? null };
  };
  const runNow = () => {
    if (!tab || isRunning(run)) return;
    const at = editor.current?.current() ?? { sql: tab.sql, offset: 0 };
    if (!at.sql) {
      editor.current?.focus();
      return;
    }
    if (panel === "plan") setSearch({ view: undefined });
    void start(id, { ...submission(), sql: at.sql }, at.offset, (statement) => {
      tabs.change(id, { statement: { id: statement, ...at } });
      remember(session.name, statement, at.sql);
    }).finally(() => void client.invalidateQueries({ queryKey: ["history"] }));
  };
  useEffect(() => {
    if (runNext.current === id && editor.current) {
      runNext.current = null;
      runNow();
    }
  });

  const marked = useMemo<Marked | null>(() => {
    const place = run?.phase === "failed" ? positionOf(run.error) : null;
    const message = String((run?.error as { message?: unknown } | null)?.message ?? "");
    return place && run ? { ...place, message, offset: run.offset } : null;
  }, [run]);

  const saved = (query: SavedQuery) => {
    tabs.change(id, { ...savedPart(query), sql: tab?.sql ?? query.sql });
    setSaving(false);
    setConflict(null);
    void client.invalidateQueries({ queryKey: ["saved-queries"] });
    toast(`Saved “${query.name}”`);
  };
  const save = async (version?: number) => {
    if (!tab) return;
    const sql = editor.current?.text() ?? tab.sql;
    tabs.change(id, { sql });
    if (!tab.saved) {
      setSaving(true);
      return;
    }
    setWorking(true);
    try {
      const draft = draftOf({ ...tab, sql }, tab.title, tab.saved.share);
      saved(await calls.update(tab.saved.id, version ?? tab.saved.version, draft));
    } catch (problem) {
      const theirs = conflictOf(problem);
      if (theirs) setConflict(theirs);
      else toastError(problem);
    } finally {
      setWorking(false);
    }
  };
  const format = async () => {
    const text = editor.current?.text() ?? "";
    if (!text.trim() || !tab) return;
    setWorking(true);
    try {
      const answer = await calls.format(text, tab.dialect);
      // Somebody may have gone on typing: what was typed since is worth more than the format.
      if (answer.changed && editor.current?.text() === text) editor.current.replace(answer.sql);
      if (answer.notes.length > 0) toast(answer.notes.join(" "), { tone: "info" });
      else if (!answer.changed) toast("It is formatted already", { tone: "info" });
    } catch (problem) {
      if (!isAbort(problem)) toastError(problem);
    } finally {
      setWorking(false);
    }
  };
  const close = (which: string) => {
    const closed = all.find((one) => one.id === which);
    const at = all.findIndex((one) => one.id === which);
    const next = all[at + 1] ?? all[at - 1];
    const back = tabs.close(which);
    forget(which);
    if (which === id) setSearch({ tab: next?.id, view: undefined });
    if (closed && closed.sql.trim() && (unsaved(closed) || !closed.saved)) {
      toast(`Closed “${closed.title}”`, { tone: "info", undo: () => { back(); show(which); } });
    }
  };

  useKeys({
    "mod+enter": { label: "Run the statement or the selection", group: "Query", run: runNow },
    "mod+s": { label: "Save", group: "Query", run: () => void save() },
    "mod+shift+f": { label: "Format", group: "Query", run: () => void format() },
    "alt+n": { label: "New query", group: "Query", run: () => void openTab() },
    "mod+b": { label: "Saved queries and history", group: "Query", run: () => setSide(side ? null : "saved") },
    escape: { label: "Cancel what runs", group: "Query", run: () => (running ? void cancel(id) : false) },
  });

  const openHistory = (row: HistoryRow, sql: string, exact: boolean) => {
    openTab({ sql, dialect: row.dialect, schema: row.schema_name, role: row.role });
    if (!exact) toast("Its literals are not kept: fill them in before running it again", { tone: "info" });
  };

  if (!tab) return <Page crumbs={[{ label: "Query" }]} scroll={false}>{null}</Page>;
  const work = (
    <div className="flex min-h-0 min-w-0 flex-1 flex-col">
      <TabStrip tabs={all} active={id} onChoose={show} onClose={close} onRename={(which, title) => tabs.change(which, { title })} onNew={() => openTab()} />
      <Split direction="column" storageKey="query.editor" initial={0.42}>
        <div className="bg-surface flex min-h-0 flex-1 flex-col">
          <Toolbar tab={tab} roles={session.role ? [session.role] : session.roles} limited={session.role !== null} onChange={change} />
          <Editor
            ref={editor}
            tab={id}
            sql={tab.sql}
            dialect={tab.dialect}
            schema={tab.schema}
            role={tab.role}
            marked={marked}
            onChange={(sql) => change({ sql })}
            onRun={runNow}
          />
        </div>
        <div className="bg-surface flex min-h-0 flex-1 flex-col">
          <Results
            tab={tab}
            run={run}
            panel={panel}
            onPanel={(view) => setSearch({ view: view === "result" ? undefined : view })}
            onChart={(chart) => change({ chart })}
            onReveal={(where) => editor.current?.reveal(where)}
            onRun={runNow}
            onCancel={() => void cancel(id).catch(toastError)}
            submission={submission}
          />
        </div>
      </Split>
    </div>
  );
  return (
    <Page
      crumbs={[{ label: "Query" }]}
      scroll={false}
      actions={
        <>
          <IconButton icon={PanelLeft} label="Saved queries and history" keys="mod+B" pressed={side !== null} onClick={() => setSide(side ? null : "saved")} />
          <IconButton icon={Sparkles} label="Format" keys="mod+shift+F" disabled={working} onClick={() => void format()} />
          <Button icon={tab.saved ? Save : Bookmark} busy={working} onClick={() => void save()}>
            Save
          </Button>
          {running ? (
            <Button variant="danger" icon={Square} className="w-24" onClick={() => void cancel(id).catch(toastError)}>
              Cancel
            </Button>
          ) : (
            <Button variant="primary" icon={Play} className="w-24" title="Ctrl+Enter" onClick={runNow}>
              Run
            </Button>
          )}
        </>
      }
    >
      {side ? (
        <Split direction="row" storageKey="query.side" initial={0.22}>
          <Side panel={side} onPanel={setSide} user={session.name} onSaved={openSaved} onHistory={openHistory} />
          {work}
        </Split>
      ) : (
        work
      )}
      {saving && <SaveDialog tab={{ ...tab, sql: editor.current?.text() ?? tab.sql }} onDone={saved} onClose={() => setSaving(false)} />}
      {conflict && (
        <ConflictDialog
          tab={tab}
          theirs={conflict}
          onClose={() => setConflict(null)}
          onMine={() => void save(conflict.version)}
          onTheirs={() => {
            change(savedPart(conflict));
            // Into the editor at once: what was typed a moment ago is still on its way to the tab.
            editor.current?.replace(conflict.sql);
            setConflict(null);
          }}
          onCopy={() => {
            change({ saved: null, title: `${tab.title} (copy)` });
            setConflict(null);
            setSaving(true);
          }}
        />
      )}
    </Page>
  );
}

function Toolbar(props: {
  tab: QueryTab;
  roles: readonly string[];
  limited: boolean;
  onChange: (change: Partial<QueryTab>) => void;
}) {
  const { tab, roles, limited, onChange } = props;
  const schemas = useQuery({ queryKey: ["schemas"], queryFn: ({ signal }) => calls.schemas(signal), staleTime: 60_000 });
  const names = schemaNames(schemas.data);
  if (tab.schema && !names.includes(tab.schema)) names.push(tab.schema);
  return (
    <div className="flex h-9 shrink-0 items-center gap-2 border-b px-3">
      <Select size="sm" className="w-28" label="Dialect" value={tab.dialect} options={DIALECTS} onChange={(dialect) => onChange({ dialect: dialectOf(dialect) })} />
      <EngineSelect tab={tab} onChange={(engine) => onChange({ engine })} />
      <Select
        size="sm"
        className="w-44"
        label="Schema of unqualified names"
        value={tab.schema ?? ""}
        options={[{ value: "", label: "No default schema" }, ...names.map((name) => ({ value: name, label: <bdi>{name}</bdi> }))]}
        onChange={(schema) => onChange({ schema: schema || null })}
      />
      {roles.length > 0 && (
        <Select
          size="sm"
          className="w-40"
          label="Run as role"
          disabled={limited}
          value={limited ? (roles[0] ?? "") : (tab.role ?? "")}
          options={[...(limited ? [] : [{ value: "", label: "All my roles" }]), ...roles.map((role) => ({ value: role, label: `As ${role}` }))]}
          onChange={(role) => onChange({ role: role || null })}
        />
      )}
    </div>
  );
}

function schemaNames(answer: unknown): string[] {
  const list = Array.isArray(answer) ? answer : [];
  return list.flatMap((one) => (typeof one === "object" && one !== null && "name" in one ? [String(one.name)] : []));
}

/** The exact texts of the last statements: the server keeps them without their literals. */
function remember(user: string, statement: string, sql: string): void {
  const key = `query.${user}.texts`;
  const kept = Object.entries(getStored<Record<string, string>>(key, {})).slice(-TEXTS_KEPT + 1);
  if (sql.length < 20_000) setStored(key, Object.fromEntries([...kept, [statement, sql]]));
}
