import type { Schemas } from "../../api/client";

export type Take = Schemas["Task"] & { number: number };

/** Previews of the last hour, newest first; each keeps its number while others come. */
export function takesOf(tasks: readonly Schemas["Task"][]): Take[] {
  return tasks
    .filter((task) => task.type === "design_preview")
    .sort((a, b) => a.created_at.localeCompare(b.created_at))
    .map((task, index) => ({ ...task, number: index + 1 }))
    .reverse();
}

export function isOver(task: Pick<Schemas["Task"], "status">): boolean {
  return task.status === "completed" || task.status === "failed" || task.status === "cancelled";
}

/** The voice that was made of this preview, once it is kept. */
export function keptAs(take: Take): string | null {
  return take.voice_id ?? null;
}
