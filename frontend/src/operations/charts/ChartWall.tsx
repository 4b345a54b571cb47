import { useMemo } from "react";
import { money } from "@/shared/format";
import { Banner, Grid as Columns, Failure, Skeleton, Stack } from "@/shared/layout";
import { charts as words } from "@/strings/charts";
import { useCharts } from "../api/queries";
import { Live } from "../live/AsOf";
import { ChartFigure } from "./ChartFigure";
import styles from "./charts.module.css";
import { CursorProvider } from "./cursor";
import { MarkRail } from "./MarkRail";
import { chartsOf, gridOf } from "./series";
import { VerdictStrip } from "./VerdictStrip";
import { runsOf } from "./verdict_runs";

export const RANGES = [15, 60, 360] as const;
export type Range = (typeof RANGES)[number];

interface ChartWallProps {
  minutes: Range;
  onMinutes: (minutes: Range) => void;
  /** A provider as persons say it. */
  lane: (provider: string) => string;
}

/** Every chart, with one cursor over all of them. */
export function ChartWall({ minutes, onMinutes, lane }: ChartWallProps) {
  const { data, error, refetch } = useCharts(minutes);
  const drawn = useMemo(() => {
    if (data === undefined) return null;
    const grid = gridOf(data, minutes);
    return { grid, charts: chartsOf(data, grid, lane), runs: runsOf(data.windows, grid) };
  }, [data, minutes, lane]);
  const old = data?.source === "STALE";
  return (
    <section aria-labelledby="charts-heading" className={styles.wall}>
      <div className={styles.wallHead}>
        <h2 id="charts-heading">{words.headings[minutes] ?? words.heading}</h2>
        <fieldset className={styles.ranges}>
          <legend>{words.range}</legend>
          {RANGES.map((one) => (
            <label key={one}>
              <input
                type="radio"
                name="charts-range"
                checked={one === minutes}
                onChange={() => onMinutes(one)}
              />
              <span>{words.ranges[one]}</span>
            </label>
          ))}
        </fieldset>
      </div>
      {error && !data && <Failure error={error} onRetry={() => void refetch()} />}
      {old && <Banner tone="blind">{words.stale}</Banner>}
      {!data || !drawn ? (
        !error && (
          <Stack>
            <Skeleton height="3.5rem" />
            <Columns column="26rem">
              {[1, 2, 3, 4].map((one) => (
                <Skeleton key={one} height="19rem" />
              ))}
            </Columns>
          </Stack>
        )
      ) : (
        <Live at={data.as_of} stale={old}>
          <CursorProvider>
            <Stack>
              <MarkRail marks={data.marks} grid={drawn.grid} />
              {drawn.charts.slice(0, 1).map((chart) => (
                <ChartFigure key={chart.key} chart={chart} grid={drawn.grid} marks={data.marks}>
                  <VerdictStrip lanes={drawn.runs} lane={lane} />
                </ChartFigure>
              ))}
              <Columns column="26rem">
                {drawn.charts.slice(1).map((chart) => (
                  <ChartFigure
                    key={chart.key}
                    chart={chart}
                    grid={drawn.grid}
                    marks={data.marks}
                    side={
                      chart.key === "cost" && data.cost_microusd_per_hour !== null ? (
                        <span>{words.cost.hour(money(data.cost_microusd_per_hour))}</span>
                      ) : undefined
                    }
                  />
                ))}
              </Columns>
            </Stack>
          </CursorProvider>
        </Live>
      )}
    </section>
  );
}
