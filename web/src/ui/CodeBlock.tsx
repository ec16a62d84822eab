import { Check, Copy } from "lucide-react";
import { useState } from "react";

import { IconButton } from "./Button";
import { cx } from "./classes";
import { highlight } from "./highlight";
import { toastError } from "./Toast";

/** A button that copies a text. */
export function CopyButton({ text, label = "Copy" }: { text: string | (() => string); label?: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(typeof text === "string" ? text : text());
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    } catch (problem) {
      toastError(problem);
    }
  };
  return <IconButton size="sm" icon={done ? Check : Copy} label={done ? "Copied" : label} onClick={() => void copy()} />;
}

export interface CodeBlockProps {
  code: string;
  language?: "sql" | "json" | "text";
  wrap?: boolean;
  className?: string;
}

/** Text as written, with its colours and a button that copies it. */
export function CodeBlock({ code, language = "text", wrap, className }: CodeBlockProps) {
  return (
    <div className={cx("bg-surface-2 group relative min-w-0 rounded-md border", className)}>
      <pre
        tabIndex={0}
        className={cx("mono max-h-full overflow-auto p-3 pr-10 leading-[18px]", wrap && "break-words whitespace-pre-wrap")}
      >
        {language === "text" ? code : highlight(code, language)}
      </pre>
      <span className="absolute top-1.5 right-1.5">
        <CopyButton text={code} />
      </span>
    </div>
  );
}
