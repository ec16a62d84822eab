import type { ErrorComponentProps } from "@tanstack/react-router";
import { Link } from "@tanstack/react-router";
import { Compass } from "lucide-react";

import { Button, EmptyState, ErrorBox, Skeleton } from "@/ui";

import { Page } from "./Page";

/** In place of a page that failed to draw; the rest of the studio goes on. */
export function PageCrash({ error, reset }: ErrorComponentProps) {
  return (
    <Page crumbs={[{ label: "Something went wrong" }]}>
      <div className="mx-auto max-w-2xl">
        <ErrorBox title="This page failed." error={error} onRetry={reset} />
        <p className="text-text-2 mt-3">
          If the studio was updated meanwhile,{" "}
          <Button size="sm" onClick={() => window.location.reload()}>
            load it anew
          </Button>
        </p>
      </div>
    </Page>
  );
}

/** In place of a page that is not there. */
export function NotFound() {
  return (
    <Page crumbs={[{ label: "Not found" }]}>
      <EmptyState
        icon={Compass}
        title="There is no page here"
        actions={
          <Link to="/" className="link">
            Go to Home
          </Link>
        }
      >
        The address may be mistyped, or name something that you may not see.
      </EmptyState>
    </Page>
  );
}

/** While a page's code is on its way. */
export function PagePending() {
  return (
    <main className="flex min-h-0 flex-1 flex-col">
      <div className="bg-surface flex h-11 shrink-0 items-center border-b px-4">
        <Skeleton className="h-4 w-40" />
      </div>
      <div className="p-5">
        <Skeleton lines={5} />
      </div>
    </main>
  );
}
