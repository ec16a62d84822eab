import { useNavigate } from "@tanstack/react-router";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CircleStop, RotateCcw } from "lucide-react";

import { api } from "@/api/client";
import { Button, toast, toastError } from "@/ui";

/** Stops what has not ended. */
export function CancelButton({ id }: { id: string }) {
  const client = useQueryClient();
  const cancel = useMutation({
    mutationFn: () => api.post("/api/v1/runs/{activity_id}/cancel", { path: { activity_id: id }, body: {} }),
    onSuccess: () => {
      toast("It is being stopped");
      return client.invalidateQueries({ queryKey: ["runs"] });
    },
    onError: toastError,
  });
  return (
    <Button icon={CircleStop} variant="danger" busy={cancel.isPending} onClick={() => cancel.mutate()}>
      Cancel
    </Button>
  );
}

/** Runs it again, and goes there. */
export function AgainButton({ id }: { id: string }) {
  const navigate = useNavigate();
  const again = useMutation({
    mutationFn: () => api.post("/api/v1/runs/{activity_id}/retry", { path: { activity_id: id }, body: {} }),
    onSuccess: (made) => navigate({ to: `/runs/${encodeURIComponent(made.id)}` }),
    onError: toastError,
  });
  return (
    <Button icon={RotateCcw} busy={again.isPending} onClick={() => again.mutate()}>
      Run again
    </Button>
  );
}
