import { Link } from "@tanstack/react-router";
import type { LucideIcon } from "lucide-react";
import {
  Activity,
  CircleHelp,
  CircleUser,
  Database,
  House,
  LogOut,
  Monitor,
  Moon,
  Search,
  Settings,
  ShieldCheck,
  SquareTerminal,
  Sun,
} from "lucide-react";

import { Menu, Tooltip } from "@/ui";

import mark from "./mark.svg";
import { logout, useSession } from "./session";
import { useTheme } from "./theme";

export interface RailPage {
  to: string;
  label: string;
  icon: LucideIcon;
  keys: string;
}

export const PAGES: readonly RailPage[] = [
  { to: "/", label: "Home", icon: House, keys: "g h" },
  { to: "/data", label: "Data", icon: Database, keys: "g d" },
  { to: "/query", label: "Query", icon: SquareTerminal, keys: "g q" },
  { to: "/runs", label: "Runs", icon: Activity, keys: "g r" },
  { to: "/governance", label: "Governance", icon: ShieldCheck, keys: "g g" },
  { to: "/admin", label: "Admin", icon: Settings, keys: "g a" },
];

const ITEM =
  "flex h-12 w-full flex-col items-center justify-center gap-0.5 rounded-md text-xs text-text-2 " +
  "hover:bg-hover hover:text-text data-[status=active]:bg-selected data-[status=active]:text-accent " +
  "data-[status=active]:font-medium outline-offset-[-2px]";

/** The pages, at the left edge. */
export function Rail({ onSearch, onHelp }: { onSearch: () => void; onHelp: () => void }) {
  const session = useSession();
  const [theme, setTheme] = useTheme();
  return (
    <nav aria-label="Pages" className="bg-surface flex w-[76px] shrink-0 flex-col items-stretch gap-0.5 border-r px-1.5 py-2">
      <Link to="/" aria-label="Headwater" className="mx-auto mb-2 block rounded-md">
        <img src={mark} alt="" width={28} height={28} />
      </Link>
      {PAGES.map(({ to, label, icon: Icon, keys }) => (
        <Tooltip key={to} text={`Go to ${label}`} keys={keys} side="right">
          <Link to={to} activeOptions={{ exact: to === "/", includeSearch: false }} className={ITEM}>
            <Icon aria-hidden size={17} strokeWidth={1.8} />
            {label}
          </Link>
        </Tooltip>
      ))}
      <span className="flex-1" />
      <Tooltip text="Search and commands" keys="mod+K" side="right">
        <button type="button" className={ITEM} onClick={onSearch}>
          <Search aria-hidden size={17} strokeWidth={1.8} />
          Search
        </button>
      </Tooltip>
      <Menu
        trigger={
          <button type="button" className={ITEM} aria-label={`Account: ${session.name}`}>
            <CircleUser aria-hidden size={17} strokeWidth={1.8} />
            <span className="max-w-full truncate px-1">{session.name}</span>
          </button>
        }
        items={[
          { heading: session.role ? `${session.name} as ${session.role}` : session.name },
          { label: "Light", icon: Sun, checked: theme === "light", onSelect: () => setTheme("light") },
          { label: "Dark", icon: Moon, checked: theme === "dark", onSelect: () => setTheme("dark") },
          { label: "As the system", icon: Monitor, checked: theme === "system", onSelect: () => setTheme("system") },
          "separator",
          { label: "Keyboard shortcuts", icon: CircleHelp, keys: "?", onSelect: onHelp },
          "separator",
          { label: "Log out", icon: LogOut, onSelect: () => void logout() },
        ]}
      />
    </nav>
  );
}
