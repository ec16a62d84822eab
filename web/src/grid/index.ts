// The grid for results: rows are fetched as Arrow from what the server keeps.
export { ResultGrid, type ResultGridProps } from "./ResultGrid";
export { type Filter, type GridColumn, type GridSource, isNumber, isTime, PLAIN, type Sort, type View, viewQuery } from "./source";
export { statementSource } from "./statement";
export { StaticGrid } from "./StaticGrid";
export { cellNumber, cellText } from "./values";
