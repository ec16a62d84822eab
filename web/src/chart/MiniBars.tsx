export interface MiniBarsProps {
  /** Heights; null where there is none. */
  values: readonly (number | null)[];
  /** What the bars show, for screen readers and as the tooltip. */
  label: string;
  width?: number;
  height?: number;
}

/** A tiny histogram. */
export function MiniBars({ values, label, width = 96, height = 22 }: MiniBarsProps) {
  const most = Math.max(1e-9, ...values.map((value) => value ?? 0));
  const step = width / Math.max(1, values.length);
  const gap = step > 3 ? 1 : 0;
  return (
    <svg role="img" aria-label={label} width={width} height={height} className="text-accent block">
      <title>{label}</title>
      {values.map((value, index) => {
        const tall = value ? Math.max(1, (value / most) * height) : 0;
        return (
          <rect
            key={index}
            x={index * step}
            y={height - tall}
            width={Math.max(1, step - gap)}
            height={tall}
            fill="currentColor"
            opacity={0.75}
          />
        );
      })}
      <rect x={0} y={height - 1} width={width} height={1} className="text-border" fill="currentColor" />
    </svg>
  );
}
