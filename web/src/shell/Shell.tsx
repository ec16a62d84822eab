import { useQueryClient } from "@tanstack/react-query";
import { Outlet, useNavigate } from "@tanstack/react-router";
import { Moon, Sun } from "lucide-react";
import { useEffect, useMemo, useState } from "react";

import { setStatus, useStatus } from "@/api/status";
import { Toaster, toast, TooltipProvider } from "@/ui";

import { ConnectionBanner } from "./Banner";
import type { Command, CommandSource } from "./commands";
import { Help } from "./Help";
import type { Bindings } from "./keys";
import { useKeys } from "./keys";
import { ExpiredDialog } from "./Login";
import { setNavigator } from "./navigation";
import { Palette } from "./Palette";
import { PAGES, Rail } from "./Rail";
import type { Session } from "./session";
import { current, logout, useSession } from "./session";
import { useTheme } from "./theme";

/** What surrounds every page. */
export function Shell({ sources }: { sources: readonly CommandSource[] }) {
  const navigate = useNavigate();
  const client = useQueryClient();
  const me = useSession();
  const { session } = useStatus();
  const [, setTheme] = useTheme();
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);

  useEffect(() => {
    setNavigator((to) => void navigate({ to: pathOf(to), search: searchOf(to) } as never));
  }, [navigate]);

  // Another tab may have logged in as somebody else: the cookie is one for all tabs.
  useEffect(() => {
    const look = () => {
      if (document.visibilityState !== "visible") return;
      current().then(
        (now) => {
          if (now === null) setStatus({ session: "expired" });
          else if (now.name !== me.name || now.role !== me.role) window.location.reload();
        },
        () => undefined, // the banner tells of lost connections
      );
    };
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [me]);

  const flip = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
  const keys: Bindings = {
    "mod+k": { label: "Search and commands", group: "Everywhere", run: () => setPalette((open) => !open) },
    "?": { label: "This sheet", group: "Everywhere", run: () => setHelp(true) },
    "t t": { label: "Dark or light", group: "Everywhere", run: flip },
  };
  for (const page of PAGES) {
    keys[page.keys] = { label: page.label, group: "Go to", run: () => void navigate({ to: page.to }) };
  }
  useKeys(keys);

  const all = useMemo(() => [shellCommands(setTheme, setHelp), ...sources], [sources, setTheme]);
  const again = (next: Session) => {
    if (next.name !== me.name) {
      window.location.reload();
      return;
    }
    void client.invalidateQueries();
    toast("Logged in again");
  };
  return (
    <TooltipProvider>
      <a
        href="#page"
        className="bg-accent text-accent-text sr-only z-50 rounded-md px-3 py-1 focus:not-sr-only focus:fixed focus:top-2 focus:left-2"
      >
        Skip to the page
      </a>
      <div className="flex h-full">
        <Rail onSearch={() => setPalette(true)} onHelp={() => setHelp(true)} />
        <div className="flex min-w-0 flex-1 flex-col">
          <ConnectionBanner />
          <Outlet />
        </div>
      </div>
      <Palette open={palette} onOpenChange={setPalette} sources={all} />
      <Help open={help} onOpenChange={setHelp} />
      <ExpiredDialog open={session === "expired"} name={me.name} onLogin={again} />
      <Toaster />
    </TooltipProvider>
  );
}

function pathOf(to: string): string {
  return to.split("?")[0] ?? "/";
}

function searchOf(to: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(to.split("?")[1] ?? ""));
}

function shellCommands(setTheme: (theme: "light" | "dark") => void, setHelp: (open: boolean) => void): CommandSource {
  const pages: Command[] = PAGES.map((page) => ({
    id: `go:${page.to}`,
    title: page.label,
    group: "Go to",
    icon: page.icon,
    keys: page.keys,
    run: (context) => context.navigate(page.to),
  }));
  return {
    commands: [
      ...pages,
      { id: "theme:light", title: "Light theme", group: "Studio", icon: Sun, run: () => setTheme("light") },
      { id: "theme:dark", title: "Dark theme", group: "Studio", icon: Moon, run: () => setTheme("dark") },
      { id: "help", title: "Keyboard shortcuts", group: "Studio", keys: "?", run: () => setHelp(true) },
      { id: "logout", title: "Log out", group: "Studio", run: () => logout() },
    ],
  };
}
