import type { CompletionContext, CompletionResult } from "@codemirror/autocomplete";
import { acceptCompletion, autocompletion, closeBrackets, closeBracketsKeymap, closeCompletion, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { PostgreSQL, sql as sqlLanguage, SQLDialect, StandardSQL } from "@codemirror/lang-sql";
import { bracketMatching, ensureSyntaxTree, indentOnInput, indentUnit } from "@codemirror/language";
import { type Diagnostic, lintGutter, setDiagnostics } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, Prec } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers, placeholder } from "@codemirror/view";
import type { Ref } from "react";
import { useEffect, useImperativeHandle, useRef } from "react";

import { isAbort } from "@/api/errors";
import { nonce } from "@/ui/nonce";

import type { Dialect } from "./calls";
import { calls } from "./calls";
import { colours, theme } from "./editorTheme";

export interface Marked {
  /** 1-based, in the statement that was run. */
  line: number;
  column: number;
  message: string;
  /** Where that statement begins in the text. */
  offset: number;
}

export interface EditorHandle {
  /** What runs: the selection, or the statement at the cursor. */
  current: () => { sql: string; offset: number };
  text: () => string;
  /** Replaces the text as one change that can be undone. */
  replace: (text: string) => void;
  insert: (text: string) => void;
  focus: () => void;
  /** Shows where an error is, and goes there. */
  reveal: (marked: Marked) => void;
}

export interface EditorProps {
  tab: string;
  sql: string;
  dialect: Dialect;
  schema: string | null;
  role: string | null;
  marked: Marked | null;
  onChange: (sql: string) => void;
  onRun: () => void;
  ref?: Ref<EditorHandle>;
}

const SPARK = SQLDialect.define({ identifierQuotes: "`", doubleQuotedStrings: true, backslashEscapes: true, types: `${typesOf(StandardSQL)} string bigint tinyint` });
const TRINO = SQLDialect.define({ types: `${typesOf(StandardSQL)} varbinary bigint tinyint json row map uuid` });
const DIALECTS: Record<Dialect, SQLDialect> = { trino: TRINO, spark: SPARK, duckdb: PostgreSQL };
const TYPED_MS = 250;

function typesOf(dialect: SQLDialect): string {
  return dialect.spec.types ?? "array binary bit boolean char character clob date decimal double float int integer interval numeric real smallint time timestamp varchar";
}

const states = new Map<string, EditorState>();

/** The editor for SQL. A tab keeps its undo history and its cursor while others are edited. */
export function Editor(props: EditorProps) {
  const { tab, sql, dialect, marked, ref } = props;
  const place = useRef<HTMLDivElement>(null);
  const view = useRef<EditorView | null>(null);
  const now = useRef(props);
  now.current = props;
  const language = useRef(new Compartment()).current;
  const pending = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const shown = useRef(tab);

  const tell = () => {
    clearTimeout(pending.current);
    pending.current = undefined;
    if (view.current) now.current.onChange(view.current.state.doc.toString());
  };

  const make = (text: string) =>
    EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(
          keymap.of([
            { key: "Mod-Enter", run: (made) => { closeCompletion(made); tell(); now.current.onRun(); return true; } },
            { key: "Tab", run: acceptCompletion },
          ]),
        ),
        EditorView.cspNonce.of(nonce),
        lineNumbers(),
        lintGutter(),
        history(),
        drawSelection(),
        indentOnInput(),
        indentUnit.of("  "),
        bracketMatching(),
        closeBrackets(),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        highlightSelectionMatches({ minSelectionLength: 2 }),
        search({ top: true }),
        autocompletion({ override: [(context) => complete(context, now.current)], icons: false, maxRenderedOptions: 60 }),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, indentWithTab]),
        language.of(sqlLanguage({ dialect: DIALECTS[now.current.dialect] })),
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ "aria-label": "SQL", spellcheck: "false", "data-testid": "sql-editor" }),
        placeholder("SELECT …   (Ctrl+Enter runs, Ctrl+Space completes)"),
        theme,
        colours,
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          clearTimeout(pending.current);
          pending.current = setTimeout(tell, TYPED_MS);
        }),
      ],
    });

  useEffect(() => {
    if (!place.current) return;
    const made = new EditorView({ parent: place.current, state: states.get(now.current.tab) ?? make(now.current.sql) });
    view.current = made;
    made.focus();
    const leave = () => pending.current !== undefined && tell();
    window.addEventListener("pagehide", leave);
    return () => {
      leave();
      states.set(shown.current, made.state);
      window.removeEventListener("pagehide", leave);
      made.destroy();
      view.current = null;
    };
    // The view lives as long as the component; all that it uses is read through refs.
  }, []);

  useEffect(() => {
    const made = view.current;
    if (!made || shown.current === tab) return;
    states.set(shown.current, made.state);
    shown.current = tab;
    made.setState(states.get(tab) ?? make(sql));
    made.focus();
  }, [tab]);

  // The text was changed from elsewhere: a saved query was read anew.
  useEffect(() => {
    const made = view.current;
    if (!made || pending.current !== undefined || made.state.doc.toString() === sql) return;
    made.dispatch({ changes: { from: 0, to: made.state.doc.length, insert: sql } });
  }, [sql, tab]);

  useEffect(() => {
    view.current?.dispatch({ effects: language.reconfigure(sqlLanguage({ dialect: DIALECTS[dialect] })) });
  }, [dialect, tab, language]);

  useEffect(() => {
    const made = view.current;
    if (!made) return;
    made.dispatch(setDiagnostics(made.state, marked ? [diagnostic(made.state, marked)] : []));
  }, [marked, tab]);

  useImperativeHandle(ref, () => ({
    current: () => (view.current ? current(view.current.state) : { sql: now.current.sql, offset: 0 }),
    text: () => view.current?.state.doc.toString() ?? now.current.sql,
    replace: (text) => {
      const made = view.current;
      made?.dispatch({ changes: { from: 0, to: made.state.doc.length, insert: text } });
      made?.focus();
    },
    insert: (text) => {
      const made = view.current;
      made?.dispatch(made.state.replaceSelection(text));
      made?.focus();
    },
    focus: () => view.current?.focus(),
    reveal: (where) => {
      const made = view.current;
      if (!made) return;
      const { from } = diagnostic(made.state, where);
      made.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
      made.focus();
    },
  }));

  return <div ref={place} className="min-h-0 flex-1 overflow-hidden" />;
}

/** The selection; else, of several statements, the one at the cursor; else everything. */
function current(state: EditorState): { sql: string; offset: number } {
  const { main } = state.selection;
  if (!main.empty) return trimmed(state, main.from, main.to);
  const tree = ensureSyntaxTree(state, state.doc.length, 100);
  const statements: { from: number; to: number }[] = [];
  for (let node = tree?.topNode.firstChild ?? null; node; node = node.nextSibling) {
    if (node.name === "Statement") statements.push({ from: node.from, to: node.to });
  }
  if (statements.length < 2) return trimmed(state, 0, state.doc.length);
  const at = statements.find((one) => main.head <= one.to) ?? statements.at(-1);
  return at ? trimmed(state, at.from, at.to) : trimmed(state, 0, state.doc.length);
}

function trimmed(state: EditorState, from: number, to: number): { sql: string; offset: number } {
  const text = state.sliceDoc(from, to);
  const lead = text.length - text.trimStart().length;
  return { sql: text.trim().replace(/;\s*$/, ""), offset: from + lead };
}

function diagnostic(state: EditorState, marked: Marked): Diagnostic {
  const start = state.doc.lineAt(Math.min(marked.offset, state.doc.length));
  const number = Math.min(state.doc.lines, start.number + marked.line - 1);
  const line = state.doc.line(number);
  const base = marked.line === 1 ? marked.offset : line.from;
  const from = Math.max(line.from, Math.min(line.to, base + marked.column - 1));
  const word = state.wordAt(from);
  const to = word && word.to > from ? word.to : Math.min(line.to, from + 1);
  return { from: Math.min(from, to), to, severity: "error", message: marked.message };
}

async function complete(context: CompletionContext, props: EditorProps): Promise<CompletionResult | null> {
  const word = context.matchBefore(/[\w$]+|\./);
  if (!word && !context.explicit) return null;
  const aborter = new AbortController();
  context.addEventListener("abort", () => aborter.abort());
  try {
    const { dialect, schema, role } = props;
    const body = { sql: context.state.doc.toString(), position: context.pos, dialect, schema, role };
    const answer = await calls.complete(body, aborter.signal);
    if (context.aborted || answer.items.length === 0) return null;
    // What is typed out already needs no proposal.
    const typed = context.state.sliceDoc(answer.from, context.pos).toLowerCase();
    if (answer.items.length === 1 && answer.items[0]?.label.toLowerCase() === typed) return null;
    return {
      from: answer.from,
      to: answer.to,
      validFor: answer.incomplete ? undefined : /^[\w$]*$/,
      options: answer.items.map((item, index) => ({
        label: item.label,
        apply: item.apply ?? item.label,
        type: item.kind,
        detail: item.detail ?? item.kind,
        info: item.info ?? undefined,
        boost: -index,
      })),
    };
  } catch (problem) {
    // Somebody types; an error would be in the way, and is told when the query runs.
    if (!isAbort(problem)) console.debug("completion failed", problem);
    return null;
  }
}
