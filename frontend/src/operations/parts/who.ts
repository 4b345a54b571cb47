import { operators } from "@/strings/operators";

/** An actor of a record as persons say it: "person:ann" is ann, and the guard is the guard. */
export function whoOf(actor: string): string {
  if (actor.startsWith("person:")) return actor.slice("person:".length);
  return operators.machines[actor] ?? actor;
}

/** Whether a person did it. */
export function isPerson(actor: string): boolean {
  return actor.startsWith("person:");
}
