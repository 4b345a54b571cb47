import { Download as DownloadIcon } from "lucide-react";
import { useState } from "react";
import { Button, IconButton } from "@/shared/controls";
import { sentenceOf } from "@/shared/problems";
import { useTell } from "@/shared/toasts";
import { common } from "@/strings/common";
import { generate as words } from "@/strings/generate";
import { audioLink, fileName, saveAudio } from "../player/links";

interface DownloadProps {
  generationId: string;
  voiceName: string;
  text: string;
  /** As an icon alone, in a row of them. */
  label?: string;
}

/** Keeps the audio of a generation as a file. */
export function Download({ generationId, voiceName, text, label }: DownloadProps) {
  const tell = useTell();
  const [busy, setBusy] = useState(false);
  const save = async () => {
    setBusy(true);
    try {
      const link = await audioLink(generationId);
      await saveAudio(link, fileName(voiceName, text, link));
    } catch (error) {
      tell(sentenceOf(error, words.noDownload));
    } finally {
      setBusy(false);
    }
  };
  if (label) {
    return (
      <IconButton label={label} small busy={busy} onClick={() => void save()}>
        <DownloadIcon size={16} aria-hidden="true" />
      </IconButton>
    );
  }
  return (
    <Button small busy={busy} onClick={() => void save()}>
      <DownloadIcon size={16} aria-hidden="true" />
      {common.download}
    </Button>
  );
}
