/** Words of a deletion that can be undone for a while. */
export const deleting = {
  undo: "Undo",
  tooLate: "It is deleted already and cannot be brought back.",
  failed: "It could not be deleted and is still here.",
} as const;
