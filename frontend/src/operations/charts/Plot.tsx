import "uplot/dist/uPlot.min.css";
import { useEffect, useMemo, useRef } from "react";
import uPlot from "uplot";
import { colour, useScheme } from "./colours";
import { useCursor } from "./cursor";
import type { Mark } from "./mark_groups";
import { type Chart, type Grid, indexAt, type Series, stacked } from "./series";
import { useWidth } from "./width";

export const HEIGHT = 168;
/** Left of what is drawn, for the axis; right of it. What stands beneath is as far in (charts.module.css). */
export const AXIS = 64;
export const EDGE = 20;
const TICKS_APART = 34;
const HOURS = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hour12: false });

interface PlotProps {
  chart: Chart;
  grid: Grid;
  marks: readonly Mark[];
}

/** One chart on a canvas. Its text alternative, its keys and its name are those of what is around it. */
export function Plot({ chart, grid, marks }: PlotProps) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const width = useWidth(box);
  const scheme = useScheme();
  const cursor = useCursor();
  const shown = useRef({ chart, grid, marks });
  shown.current = { chart, grid, marks };

  const values = chart.kind === "stack" ? stacked(chart.series) : chart.series.map((one) => [...one.values]);
  const data = [[...grid.xs], ...values] as uPlot.AlignedData;
  const newest = useRef(data);
  newest.current = data;
  // Whatever uPlot cannot be told afterwards: with another, the plot is made anew.
  const shape = useMemo(
    () =>
      `${chart.kind} ${chart.series.map((one) => `${one.label}${one.colour}${one.dash}`).join()} ${scheme}`,
    [chart, scheme],
  );

  const ready = width > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: `shape` stands for the options; the rest is read when drawing.
  useEffect(() => {
    if (!ready || box.current === null) return;
    const made = new uPlot(options(shown, box.current.clientWidth, cursor), newest.current, box.current);
    plot.current = made;
    const follow = () => point(made, shown.current.grid, cursor.get());
    const stop = cursor.subscribe(follow);
    follow();
    return () => {
      stop();
      made.destroy();
      plot.current = null;
    };
  }, [shape, ready, cursor]);

  useEffect(() => {
    if (width > 0) plot.current?.setSize({ width, height: HEIGHT });
  }, [width]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: marks and range are read when drawing.
  useEffect(() => {
    plot.current?.setData(data);
    if (plot.current) point(plot.current, grid, cursor.get());
  }, [chart, grid, marks]);

  return <div ref={box} style={{ height: HEIGHT }} />;
}

/** Shows the cursor of all charts in this one. */
function point(plot: uPlot, grid: Grid, at: number | null): void {
  const index = at === null ? null : indexAt(grid, at);
  const x = index === null ? undefined : grid.xs[index];
  const left = x === undefined ? -10 : Math.round(plot.valToPos(x, "x"));
  plot.setCursor({ left, top: x === undefined ? -10 : 1 }, false);
}

type Shown = { current: { chart: Chart; grid: Grid; marks: readonly Mark[] } };

function options(shown: Shown, width: number, cursor: ReturnType<typeof useCursor>): uPlot.Options {
  const ink = colour("--ink-faint");
  const line = colour("--line");
  const palette = paletteOf();
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const axis: uPlot.Axis = {
    stroke: ink,
    font,
    grid: { stroke: line, width: 1 },
    ticks: { stroke: line, width: 1, size: 4 },
  };
  return {
    width,
    height: HEIGHT,
    padding: [8, EDGE, 0, 0],
    legend: { show: false },
    select: { show: false, left: 0, top: 0, width: 0, height: 0 },
    cursor: {
      y: false,
      drag: { x: false, y: false, setScale: false },
      points: { size: 7 },
    },
    scales: {
      x: { time: true, range: () => [shown.current.grid.from, shown.current.grid.until] },
      y: { range: () => [...shown.current.chart.range] },
    },
    axes: [
      { ...axis, size: 26, gap: 4, space: 64, values: (_, at) => at.map((one) => HOURS.format(one * 1000)) },
      {
        ...axis,
        size: AXIS,
        gap: 6,
        space: TICKS_APART,
        values: (_, at) =>
          at.map((one) => {
            const { format, highest = Number.POSITIVE_INFINITY } = shown.current.chart;
            return one > highest ? "" : format(one);
          }),
      },
    ],
    series: [{}, ...shown.current.chart.series.map((one) => drawn(one, shown.current.chart.kind))],
    hooks: {
      ready: [
        (plot) => {
          // Not uPlot's own hook: that one also fires when data come, and would let go of what the keys chose.
          const over = (event: PointerEvent) => {
            const { grid } = shown.current;
            const index = indexAt(grid, plot.posToVal(event.offsetX, "x"));
            cursor.set(index === null ? null : (grid.xs[index] ?? null));
          };
          plot.over.addEventListener("pointermove", over);
          plot.over.addEventListener("pointerdown", over);
          plot.over.addEventListener("pointerleave", () => cursor.set(null));
        },
      ],
      draw: [(plot) => drawOver(plot, shown, palette)],
    },
  };
}

function drawn(series: Series, kind: Chart["kind"]): uPlot.Series {
  const stroke = colour(series.colour);
  if (kind === "stack") {
    return {
      stroke,
      fill: stroke,
      width: 0,
      points: { show: false },
      ...paths(uPlot.paths.bars?.({ size: [0.9, 24, 1] })),
    };
  }
  if (kind === "steps") {
    return {
      stroke,
      fill: stroke.replace(/^rgb\((.*)\)$/, "rgba($1, 0.15)"),
      width: 1.5,
      points: { show: false },
      spanGaps: false,
      ...paths(uPlot.paths.stepped?.({ align: 1 })),
    };
  }
  return {
    stroke,
    width: 1.75,
    ...(series.dash ? { dash: [...series.dash] } : {}),
    // A call now and then leaves points without neighbours: no line would show them.
    points: { show: true, size: 3.5, filter: alone },
    spanGaps: false,
  };
}

const paths = (builder: uPlot.Series.PathBuilder | undefined) => (builder ? { paths: builder } : {});

/** Only the points that no line reaches. */
function alone(plot: uPlot, index: number): number[] {
  const values = plot.data[index] ?? [];
  const found: number[] = [];
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i);
  }
  return found;
}

const MARK_COLOURS = {
  incident: "--fail",
  mode: "--accent",
  state: "--ink-faint",
  deploy: "--chart-5",
} as const;

type Palette = Record<keyof typeof MARK_COLOURS | "threshold", string>;

/** Read once a scheme, not at each stroke. */
function paletteOf(): Palette {
  return {
    incident: colour(MARK_COLOURS.incident),
    mode: colour(MARK_COLOURS.mode),
    state: colour(MARK_COLOURS.state),
    deploy: colour(MARK_COLOURS.deploy),
    threshold: colour("--fail"),
  };
}

function drawOver(plot: uPlot, { current: { chart, grid, marks } }: Shown, palette: Palette): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.lineWidth = devicePixelRatio;
  for (const mark of marks) {
    const at = Date.parse(mark.at) / 1000;
    if (at < grid.from || at > grid.until) continue;
    const x = Math.round(plot.valToPos(at, "x", true)) + 0.5;
    ctx.strokeStyle = palette[mark.kind];
    ctx.setLineDash(mark.kind === "incident" || mark.kind === "mode" ? [] : [2, 4]);
    ctx.globalAlpha = 0.7;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
  }
  if (chart.threshold) {
    const y = Math.round(plot.valToPos(chart.threshold.value, "y", true)) + 0.5;
    ctx.globalAlpha = 1;
    ctx.strokeStyle = ctx.fillStyle = palette.threshold;
    ctx.setLineDash([6, 3]);
    ctx.lineWidth = 1.25 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(bbox.left, y);
    ctx.lineTo(bbox.left + bbox.width, y);
    ctx.stroke();
    ctx.font = `${11 * devicePixelRatio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textAlign = "left";
    const below = y - bbox.top < 16 * devicePixelRatio;
    ctx.textBaseline = below ? "top" : "bottom";
    ctx.fillText(
      chart.threshold.label,
      bbox.left + 4 * devicePixelRatio,
      y + (below ? 3 : -2) * devicePixelRatio,
    );
  }
  ctx.restore();
}
