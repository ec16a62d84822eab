import { BarChart, LineChart, ScatterChart } from "echarts/charts";
import { AriaComponent, GridComponent, LegendComponent, TooltipComponent } from "echarts/components";
import type { EChartsCoreOption, EChartsType } from "echarts/core";
import { init, use as register } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { useEffect, useRef } from "react";

import { onThemeChange } from "@/shell/theme";

import type { Points } from "./points";
import type { ChartSpec } from "./spec";

register([BarChart, LineChart, ScatterChart, AriaComponent, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

export interface ChartProps {
  spec: ChartSpec;
  points: Points;
  label: string;
  /** Takes the function that makes a PNG of the chart. */
  onReady?: (picture: () => string) => void;
}

/** A drawn chart; its colours are the theme's. */
export function Chart({ spec, points, label, onReady }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<EChartsType | null>(null);
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const made = init(element);
    chart.current = made;
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(element);
    onReady?.(() => made.getDataURL({ pixelRatio: 2, backgroundColor: token("--surface") }));
    return () => {
      observer.disconnect();
      made.dispose();
      chart.current = null;
    };
  }, [onReady]);
  useEffect(() => {
    const draw = () => chart.current?.setOption(option(spec, points, label), true);
    draw();
    return onThemeChange(draw);
  }, [spec, points, label]);
  return <div ref={place} role="img" aria-label={label} className="h-full min-h-0 w-full" />;
}

function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function number(value: number): string {
  return new Intl.NumberFormat("en-US", { notation: Math.abs(value) >= 10_000 ? "compact" : "standard", maximumFractionDigits: 2 }).format(value);
}

function option(spec: ChartSpec, points: Points, label: string): EChartsCoreOption {
  const text = token("--text-2");
  const line = token("--border");
  const sans = token("--font-sans") || "system-ui, sans-serif";
  const axis = {
    axisLine: { lineStyle: { color: token("--border-2") } },
    axisTick: { show: false },
    axisLabel: { color: text, fontSize: 11, hideOverlap: true },
    splitLine: { lineStyle: { color: line } },
    nameTextStyle: { color: text, fontSize: 11 },
  };
  const values = { ...axis, type: "value", axisLabel: { ...axis.axisLabel, formatter: number }, scale: spec.mark !== "bar" && spec.mark !== "histogram" };
  const many = points.series.length > 1;
  return {
    animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    animationDuration: 250,
    aria: { enabled: true, label: { description: label } },
    color: [1, 2, 3, 4, 5, 6, 7, 8].map((at) => token(`--series-${at}`)),
    textStyle: { fontFamily: sans },
    grid: { left: 12, right: 20, top: many ? 40 : 28, bottom: 28, containLabel: true },
    legend: many ? { top: 6, left: 12, textStyle: { color: text, fontSize: 12 }, icon: "roundRect", itemWidth: 10, itemHeight: 10, type: "scroll" } : undefined,
    tooltip: {
      trigger: spec.mark === "scatter" ? "item" : "axis",
      // Drawn on the canvas: names from the data never become markup.
      renderMode: "richText",
      confine: true,
      backgroundColor: token("--surface"),
      borderColor: token("--border-2"),
      textStyle: { color: token("--text"), fontSize: 12, fontFamily: sans },
      valueFormatter: (value: unknown) => (typeof value === "number" ? new Intl.NumberFormat("en-US", { maximumFractionDigits: 4 }).format(value) : "–"),
    },
    xAxis:
      points.kind === "values"
        ? { ...values, name: points.xName, nameLocation: "middle", nameGap: 26 }
        : { ...axis, type: "category", data: points.labels, splitLine: { show: false }, axisLabel: { ...axis.axisLabel, width: 120, overflow: "truncate" } },
    yAxis: { ...values, name: many ? undefined : points.yName, nameLocation: "end", nameTextStyle: { ...axis.nameTextStyle, align: "left" } },
    series:
      points.kind === "values"
        ? [{ type: "scatter", data: points.pairs, symbolSize: 6, itemStyle: { opacity: 0.6 }, large: points.pairs.length > 4000 }]
        : points.series.map((one) => ({
            name: one.name,
            type: spec.mark === "line" ? "line" : "bar",
            data: one.values,
            showSymbol: points.labels.length < 40,
            symbolSize: 5,
            lineStyle: { width: 2 },
            barMaxWidth: 44,
            barCategoryGap: spec.mark === "histogram" ? "4%" : "28%",
            itemStyle: spec.mark === "line" ? undefined : { borderRadius: [2, 2, 0, 0] },
            sampling: spec.mark === "line" ? "lttb" : undefined,
          })),
  };
}
