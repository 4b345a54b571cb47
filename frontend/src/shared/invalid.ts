import { type RefObject, useEffect } from "react";

/** After `attempts` grew, puts the focus on the first field of the form that is marked as wrong. */
export function useFocusInvalid(form: RefObject<HTMLElement | null>, attempts: number): void {
  useEffect(() => {
    if (attempts > 0) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [form, attempts]);
}
