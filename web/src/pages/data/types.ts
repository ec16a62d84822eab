import type { components } from "@/api/schema";

type Schemas = components["schemas"];

export type Overview = Schemas["Overview"];
export type OverviewColumn = Schemas["OverviewColumn"];
export type Profile = Schemas["ProfileView"];
export type Figures = Schemas["ColumnFigures"];
export type Sample = Schemas["SampleView"];
export type History = Schemas["HistoryView"];
export type SnapshotRow = Schemas["SnapshotRow"];
export type Diff = Schemas["DiffView"];
export type FileRow = Schemas["TableFileView"];
export type Permissions = Schemas["Permissions"];
export type GrantRow = Schemas["GrantView"];
export type Lineage = Schemas["LineageView"];
export type Found = Schemas["FoundView"];
