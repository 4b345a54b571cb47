import { Banner, type Tone } from "@/shared/layout";
import { useNotice } from "../api/queries";

const TONES: Record<string, Tone> = { recovered: "pass", verifying: "info" };

/** The plain sentence while something is being put right; what a notice says is the service's to say. */
export function NoticeBanner() {
  const { data } = useNotice();
  const notice = data?.notice;
  return notice ? <Banner tone={TONES[notice.code] ?? "warn"}>{notice.sentence}</Banner> : null;
}
