// Charts: the big ones are drawn by ECharts, which is fetched when the first one is.
export { MiniBars, type MiniBarsProps } from "./MiniBars";
