import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRootRoute, createRouter, RouterProvider } from "@tanstack/react-router";
import { useMemo, useState } from "react";

import { ConnectionError } from "@/api/errors";
import { adminCommands } from "@/pages/admin/commands";
import { adminRoutes } from "@/pages/admin/routes";
import { dataCommands } from "@/pages/data/commands";
import { dataRoutes } from "@/pages/data/routes";
import { governanceCommands } from "@/pages/governance/commands";
import { governanceRoutes } from "@/pages/governance/routes";
import { homeCommands } from "@/pages/home/commands";
import { homeRoutes } from "@/pages/home/routes";
import { queryCommands } from "@/pages/query/commands";
import { queryRoutes } from "@/pages/query/routes";
import { runsCommands } from "@/pages/runs/commands";
import { runsRoutes } from "@/pages/runs/routes";
import { NotFound, PageCrash, PagePending } from "@/shell/Crash";
import { Login } from "@/shell/Login";
import type { Session } from "@/shell/session";
import { SessionContext } from "@/shell/session";
import { Shell } from "@/shell/Shell";
import { parseSearch, writeSearch } from "@/shell/url";
import { TooltipProvider } from "@/ui";

const SOURCES = [homeCommands, dataCommands, queryCommands, runsCommands, governanceCommands, adminCommands];
const ROUTES = [homeRoutes, dataRoutes, queryRoutes, runsRoutes, governanceRoutes, adminRoutes];

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // A machine without a network still reaches its own server.
      networkMode: "always",
      staleTime: 10_000,
      retry: (failures, error) => error instanceof ConnectionError && failures < 2,
    },
    mutations: { networkMode: "always", retry: false },
  },
});

function makeRouter() {
  const root = createRootRoute({ component: () => <Shell sources={SOURCES} />, notFoundComponent: NotFound });
  const routeTree = root.addChildren(ROUTES.flatMap((pages) => pages(root)));
  return createRouter({
    routeTree,
    parseSearch,
    stringifySearch: writeSearch,
    defaultPreload: "intent",
    defaultPendingComponent: PagePending,
    defaultPendingMs: 150,
    defaultErrorComponent: PageCrash,
    defaultNotFoundComponent: NotFound,
    scrollRestoration: false,
  });
}

/** The studio, for who is logged in; the login for everybody else. */
export function App({ session: first, failed }: { session: Session | null; failed?: unknown }) {
  const [session, setSession] = useState(first);
  const router = useMemo(makeRouter, []);
  if (!session) {
    return (
      <TooltipProvider>
        <Login onLogin={setSession} failed={failed} />
      </TooltipProvider>
    );
  }
  return (
    <SessionContext value={session}>
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </SessionContext>
  );
}
