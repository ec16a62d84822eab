import { useQueryClient } from "@tanstack/react-query";
import { Unplug } from "lucide-react";
import { useCallback, useEffect, useState } from "react";

import { setStatus, useStatus } from "@/api/status";
import { Button } from "@/ui";

const EVERY_MS = 2000;

/** Says that the server does not answer, and looks until it does. */
export function ConnectionBanner() {
  const { connection } = useStatus();
  const client = useQueryClient();
  const [asking, setAsking] = useState(false);
  const lost = connection === "lost";
  const ask = useCallback(async () => {
    setAsking(true);
    try {
      const answer = await fetch("/api/v1/health", { cache: "no-store" });
      if (answer.ok) {
        setStatus({ connection: "ok" });
        await client.invalidateQueries();
      }
    } catch {
      // Still lost: the banner stays and asks again.
    } finally {
      setAsking(false);
    }
  }, [client]);
  useEffect(() => {
    if (!lost) return;
    const timer = setInterval(() => void ask(), EVERY_MS);
    return () => clearInterval(timer);
  }, [lost, ask]);
  if (!lost) return null;
  return (
    <div role="alert" className="bg-warn-soft text-warn flex h-9 shrink-0 items-center gap-2 border-b px-4">
      <Unplug aria-hidden size={15} />
      <span className="flex-1">
        The server does not answer. Nothing is lost: the page goes on by itself once it does.
      </span>
      <Button size="sm" busy={asking} onClick={() => void ask()}>
        Try now
      </Button>
    </div>
  );
}
