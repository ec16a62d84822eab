import { Link } from "@tanstack/react-router";
import { ChevronRight } from "lucide-react";
import type { ReactNode } from "react";
import { useEffect } from "react";

import { cx } from "@/ui";

export interface Crumb {
  label: string;
  to?: string;
}

export interface PageProps {
  crumbs: readonly Crumb[];
  actions?: ReactNode;
  /** False: the page fills the height and scrolls in its own parts. */
  scroll?: boolean;
  /** False: no margins, for tables and editors. */
  padded?: boolean;
  children: ReactNode;
}

/** A page's frame: where one is, what can be done here, and the content. */
export function Page({ crumbs, actions, scroll = true, padded = scroll, children }: PageProps) {
  const title = crumbs.map((crumb) => crumb.label).reverse().join(" · ");
  useEffect(() => {
    document.title = `${title} · Headwater`;
  }, [title]);
  return (
    <main id="page" tabIndex={-1} className="flex min-h-0 min-w-0 flex-1 flex-col outline-none">
      <header className="bg-surface flex h-11 shrink-0 items-center gap-3 border-b px-4">
        <nav aria-label="Breadcrumb" className="min-w-0 flex-1">
          <ol className="flex min-w-0 items-center gap-1">
            {crumbs.map((crumb, index) => {
              const last = index === crumbs.length - 1;
              return (
                <li key={index} className={cx("flex min-w-0 items-center gap-1", !last && "shrink-0")}>
                  {index > 0 && <ChevronRight aria-hidden size={13} className="text-text-3 shrink-0" />}
                  {last ? (
                    <h1 aria-current="page" className="truncate font-semibold" title={crumb.label}>
                      <bdi>{crumb.label}</bdi>
                    </h1>
                  ) : (
                    <Link to={crumb.to ?? "."} className="text-text-2 hover:text-text max-w-56 truncate">
                      <bdi>{crumb.label}</bdi>
                    </Link>
                  )}
                </li>
              );
            })}
          </ol>
        </nav>
        <div className="flex shrink-0 items-center gap-2">{actions}</div>
      </header>
      <div
        className={cx(
          "min-h-0 min-w-0 flex-1",
          scroll ? "overflow-auto" : "flex flex-col overflow-hidden",
          padded && "p-5",
        )}
      >
        {children}
      </div>
    </main>
  );
}
