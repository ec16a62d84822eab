import { LoaderCircle, Plus, X } from "lucide-react";
import type { KeyboardEvent } from "react";
import { useState } from "react";

import { cx, IconButton } from "@/ui";

import { isRunning, useRun } from "./run";
import type { QueryTab } from "./tabs";
import { unsaved } from "./tabs";

export interface TabStripProps {
  tabs: readonly QueryTab[];
  active: string;
  onChoose: (id: string) => void;
  onClose: (id: string) => void;
  onRename: (id: string, title: string) => void;
  onNew: () => void;
}

/** The open queries. */
export function TabStrip({ tabs, active, onChoose, onClose, onRename, onNew }: TabStripProps) {
  const walk = (event: KeyboardEvent, index: number) => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    const next = tabs[(index + step + tabs.length) % tabs.length];
    if (step && next) {
      onChoose(next.id);
      document.getElementById(`query-tab-${next.id}`)?.focus();
    } else if (event.key === "Delete") onClose(tabs[index]?.id ?? "");
  };
  return (
    <div className="bg-surface-2 flex h-9 shrink-0 items-stretch border-b">
      <div role="tablist" aria-label="Open queries" className="flex min-w-0 items-stretch overflow-x-auto overflow-y-hidden">
        {tabs.map((tab, index) => (
          <Tab
            key={tab.id}
            tab={tab}
            active={tab.id === active}
            onChoose={() => onChoose(tab.id)}
            onClose={() => onClose(tab.id)}
            onRename={(title) => onRename(tab.id, title)}
            onKeyDown={(event) => walk(event, index)}
          />
        ))}
      </div>
      <span className="flex items-center px-1">
        <IconButton size="sm" icon={Plus} label="New query" keys="alt+N" onClick={onNew} />
      </span>
    </div>
  );
}

function Tab(props: {
  tab: QueryTab;
  active: boolean;
  onChoose: () => void;
  onClose: () => void;
  onRename: (title: string) => void;
  onKeyDown: (event: KeyboardEvent) => void;
}) {
  const { tab, active, onChoose, onClose, onRename, onKeyDown } = props;
  const [renaming, setRenaming] = useState(false);
  const running = isRunning(useRun(tab.id));
  return (
    <div
      className={cx(
        "group relative flex max-w-56 min-w-28 shrink-0 items-center border-r",
        active ? "bg-surface after:bg-accent after:absolute after:inset-x-0 after:top-0 after:h-0.5" : "hover:bg-hover",
      )}
      onAuxClick={(event) => event.button === 1 && onClose()}
    >
      {renaming ? (
        <input
          autoFocus
          aria-label="Name of the tab"
          defaultValue={tab.title}
          className="w-full bg-transparent px-3 outline-none"
          onBlur={(event) => {
            setRenaming(false);
            if (event.target.value.trim()) onRename(event.target.value.trim());
          }}
          onKeyDown={(event) => {
            if (event.key === "Enter") event.currentTarget.blur();
            if (event.key === "Escape") setRenaming(false);
          }}
        />
      ) : (
        <button
          type="button"
          role="tab"
          id={`query-tab-${tab.id}`}
          aria-selected={active}
          tabIndex={active ? 0 : -1}
          onClick={onChoose}
          onDoubleClick={() => setRenaming(true)}
          onKeyDown={onKeyDown}
          className={cx("flex h-full min-w-0 flex-1 items-center gap-1.5 pr-1 pl-3 outline-offset-[-3px]", active ? "text-text font-medium" : "text-text-2")}
        >
          {running && <LoaderCircle aria-label="Running" size={12} className="text-info shrink-0 animate-spin" />}
          <bdi className="truncate">{tab.title}</bdi>
          {unsaved(tab) && <span title="Changed since it was saved" className="bg-accent size-1.5 shrink-0 rounded-full" />}
        </button>
      )}
      {/* For the mouse only: in a list of tabs, the keyboard closes with Delete. */}
      <button
        type="button"
        aria-hidden
        tabIndex={-1}
        title={`Close ${tab.title}`}
        onClick={onClose}
        className={cx("text-text-3 hover:text-text hover:bg-hover mr-1.5 rounded-sm p-0.5", !active && "opacity-0 group-hover:opacity-100 focus-visible:opacity-100")}
      >
        <X aria-hidden size={13} />
      </button>
    </div>
  );
}
