import { useRef, useState } from "react";
import { classes } from "@/shared/classes";
import { Button } from "@/shared/controls";
import { localTime } from "@/shared/format";
import { Spoken, Table } from "@/shared/layout";
import { Time } from "@/shared/time";
import { charts as words } from "@/strings/charts";
import styles from "./charts.module.css";
import { useCursor } from "./cursor";
import { groupsOf, type Mark } from "./mark_groups";
import type { Grid } from "./series";
import { useWidth } from "./width";

/** What happened, above the charts along the same time; its text on hover and on focus. */
export function MarkRail({ marks, grid }: { marks: readonly Mark[]; grid: Grid }) {
  const rail = useRef<HTMLOListElement>(null);
  const width = useWidth(rail);
  const cursor = useCursor();
  const [table, setTable] = useState(false);
  const groups = groupsOf(marks, grid, width);
  const count = groups.reduce((sum, group) => sum + group.marks.length, 0);
  return (
    <div className={styles.rail}>
      <div className={styles.railHead}>
        <h3>{words.marks.label}</h3>
        {count === 0 ? (
          <p>{words.marks.none}</p>
        ) : (
          <Button small kind="quiet" aria-expanded={table} onClick={() => setTable(!table)}>
            {table ? words.marks.hide : words.marks.show(count)}
          </Button>
        )}
      </div>
      <ol ref={rail} className={styles.marks} aria-label={words.marks.label}>
        {groups.map((group) => (
          <li
            key={`${group.at} ${group.kind}`}
            className={classes(styles.mark, group.left > 0.5 && styles.leftwards)}
            style={{ left: `${group.left * 100}%` }}
          >
            <button
              type="button"
              className={styles[group.kind]}
              onFocus={() => cursor.set(group.at)}
              onBlur={() => cursor.set(null)}
              onMouseEnter={() => cursor.set(group.at)}
              onMouseLeave={() => cursor.set(null)}
            >
              {group.marks.length > 1 ? group.marks.length : words.marks.letters[group.kind]}
              <Spoken>{textOf(group.marks)}</Spoken>
            </button>
            <div className={styles.tip} aria-hidden="true">
              {group.marks.map((mark) => (
                <p key={`${mark.at} ${mark.kind} ${mark.text}`}>
                  <strong>
                    <Time at={mark.at} style="time" /> {words.marks.kinds[mark.kind]}
                  </strong>{" "}
                  {mark.text}
                </p>
              ))}
            </div>
          </li>
        ))}
      </ol>
      {table && (
        <div className={styles.table}>
          <Table label={words.marks.table}>
            <thead>
              <tr>
                <th scope="col">{words.time}</th>
                <th scope="col">{words.marks.event}</th>
              </tr>
            </thead>
            <tbody>
              {groups
                .flatMap((group) => group.marks)
                .reverse()
                .map((mark) => (
                  <tr key={`${mark.at} ${mark.kind} ${mark.text}`}>
                    <td>
                      <Time at={mark.at} style="time" />
                    </td>
                    <td>
                      <strong>{words.marks.kinds[mark.kind]}</strong> {mark.text}
                    </td>
                  </tr>
                ))}
            </tbody>
          </Table>
        </div>
      )}
    </div>
  );
}

function textOf(marks: readonly Mark[]): string {
  const texts = marks.map(
    (mark) => `${localTime(new Date(mark.at), "time")} ${words.marks.kinds[mark.kind]}: ${mark.text}`,
  );
  return texts.length > 1 ? `${words.marks.several(texts.length)}: ${texts.join(". ")}` : texts.join();
}
