import { CircleAlert, RotateCw } from "lucide-react";
import type { ReactNode } from "react";

import { explain } from "@/api/errors";

import { Button } from "./Button";

export interface ErrorBoxProps {
  error: unknown;
  title?: ReactNode;
  onRetry?: () => void;
  actions?: ReactNode;
}

/** An error in words, what to do about it, and its code. */
export function ErrorBox({ error, title, onRetry, actions }: ErrorBoxProps) {
  const { code, message, hint } = explain(error);
  return (
    <div role="alert" className="bg-bad-soft flex gap-2.5 rounded-md border border-bad/25 px-3 py-2.5">
      <CircleAlert aria-hidden size={16} className="text-bad mt-0.5 shrink-0" />
      <div className="min-w-0 flex-1">
        {title && <p className="font-semibold">{title}</p>}
        <p className="break-words whitespace-pre-wrap">{message}</p>
        {hint && <p className="text-text-2 mt-0.5 break-words">{hint}</p>}
        {code && <p className="mono text-text-2 mt-1">{code}</p>}
      </div>
      <div className="flex shrink-0 items-start gap-1">
        {actions}
        {onRetry && (
          <Button size="sm" icon={RotateCw} onClick={onRetry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}
