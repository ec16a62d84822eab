// Charts: the big ones are drawn by ECharts, which is fetched when the first one is.
export { ChartPanel, type ChartPanelProps } from "./ChartPanel";
export { MiniBars, type MiniBarsProps } from "./MiniBars";
export type { ChartSpec } from "./spec";
