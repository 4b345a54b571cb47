import { useWhyNot } from "../../parts/order";
import styles from "./Overview.module.css";

/** Why this key may not; nothing where it may. */
export function WhyNot() {
  const whyNot = useWhyNot();
  return whyNot === null ? null : <p className={styles.whyNot}>{whyNot}</p>;
}
