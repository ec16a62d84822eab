import type { LucideIcon } from "lucide-react";
import type { ReactNode } from "react";

import { cx } from "./classes";
import { ErrorBox } from "./ErrorBox";

/** What a place is for while nothing is in it, and the next step. */
export function EmptyState(props: {
  icon: LucideIcon;
  title: ReactNode;
  children?: ReactNode;
  actions?: ReactNode;
}) {
  const { icon: Icon, title, children, actions } = props;
  return (
    <div className="mx-auto flex max-w-md flex-col items-center gap-2 px-6 py-12 text-center">
      <span className="bg-surface-2 text-text-2 mb-1 flex size-9 items-center justify-center rounded-lg border">
        <Icon aria-hidden size={17} />
      </span>
      <h2 className="text-base font-semibold">{title}</h2>
      {children && <div className="text-text-2">{children}</div>}
      {actions && <div className="mt-2 flex flex-wrap justify-center gap-2">{actions}</div>}
    </div>
  );
}

/** Stands in for what is being fetched, or says why it could not be. */
export function Awaiting({ of: query, className }: { of: Fetching; className?: string }) {
  if (query.error == null && !query.isPending) return null;
  return (
    <div className="p-4">
      {query.error == null ? (
        <Skeleton lines={8} className={className} />
      ) : (
        <ErrorBox error={query.error} onRetry={() => void query.refetch()} />
      )}
    </div>
  );
}

interface Fetching {
  error: unknown;
  isPending: boolean;
  refetch: () => Promise<unknown>;
}

/** The place of what is being fetched; nothing moves when it arrives. */
export function Skeleton({ lines = 1, className }: { lines?: number; className?: string }) {
  return (
    <div role="status" aria-label="Loading" className="flex w-full flex-col gap-2">
      {Array.from({ length: lines }, (_, index) => (
        <div
          key={index}
          className={cx("skeleton", className ?? "h-4")}
          style={className ? undefined : { width: `${[96, 84, 90, 72, 88][index % 5]}%` }}
        />
      ))}
    </div>
  );
}

/** A bordered area with an own title. */
export function Card(props: {
  title?: ReactNode;
  actions?: ReactNode;
  className?: string;
  children: ReactNode;
}) {
  const { title, actions, className, children } = props;
  return (
    <section className={cx("bg-surface min-w-0 rounded-lg border", className)}>
      {(title || actions) && (
        <header className="flex h-10 items-center justify-between gap-2 border-b px-3">
          <h2 className="truncate font-semibold">{title}</h2>
          <div className="flex items-center gap-1">{actions}</div>
        </header>
      )}
      {children}
    </section>
  );
}

/** A titled part of a page. */
export function Section(props: {
  title: ReactNode;
  about?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className="flex min-w-0 flex-col gap-2">
      <header className="flex items-end justify-between gap-3">
        <div className="min-w-0">
          <h2 className="font-semibold">{props.title}</h2>
          {props.about && <p className="text-text-2 text-sm">{props.about}</p>}
        </div>
        <div className="flex shrink-0 items-center gap-1">{props.actions}</div>
      </header>
      {props.children}
    </section>
  );
}

/** Names and values, one a line. */
export function KeyValue({ items }: { items: readonly (readonly [ReactNode, ReactNode])[] }) {
  return (
    <dl className="grid grid-cols-[minmax(7rem,max-content)_1fr] gap-x-4 gap-y-1.5">
      {items.map(([name, value], index) => (
        <div key={index} className="contents">
          <dt className="text-text-2">{name}</dt>
          <dd className="min-w-0 break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
