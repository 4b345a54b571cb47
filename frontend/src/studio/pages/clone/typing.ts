/** Firefox says of an arrow that it replaced the value, Chromium says nothing, Safari sends a plain event. */
const BY_ARROW = ["", "insertReplacementText"];

/** Whether somebody is writing into a number field; its arrows change it in one step. */
export function isTyped(event: Event): boolean {
  return event instanceof InputEvent && !BY_ARROW.includes(event.inputType);
}
