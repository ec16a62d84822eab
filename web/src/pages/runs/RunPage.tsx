import { useParams } from "@tanstack/react-router";

import { JobRun } from "./JobRun";
import { StatementRun } from "./StatementRun";

const STATEMENT = /^\d{8}_\d{6}_/;

/** One statement or job run, told apart by the form of its id. */
export function RunPage() {
  const { id = "" } = useParams({ strict: false }) as { id?: string };
  return STATEMENT.test(id) ? <StatementRun key={id} id={id} /> : <JobRun key={id} id={id} />;
}
