import { useCallback, useEffect, useRef, useState } from "react";
import { bytes } from "@/shared/format";
import { clone as words } from "@/strings/clone";
import { MOST_READ_BYTES, maySound } from "./formats";
import { decode, type Part, type Recording } from "./recording";
import { keepRecording, keptRecording } from "./safekeeping";
import type { Pending } from "./sending";

export interface HeldRecording {
  recording: Recording | null;
  part: Part;
  /** The upload of this very part, where one was begun. */
  pending: Pending | null;
  reading: boolean;
  problem: string | null;
  /** It was here before the page was loaded. */
  restored: boolean;
  take: (file: Blob, name: string) => Promise<void>;
  choose: (part: Part) => void;
  hold: (pending: Pending | null) => void;
  complain: (problem: string) => void;
  forget: () => void;
}

const NOTHING: Part = { from: 0, until: 0 };

/** The recording that a voice is to be made of, kept on this device until it is made or taken away. */
export function useRecording(userId: string): HeldRecording {
  const [recording, setRecording] = useState<Recording | null>(null);
  const [part, setPart] = useState(NOTHING);
  const [pending, setPending] = useState<Pending | null>(null);
  const [reading, setReading] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const [restored, setRestored] = useState(false);
  /** Of two files, the one that was taken last. */
  const latest = useRef(0);

  const read = useCallback(async (file: Blob, name: string): Promise<Recording | null> => {
    latest.current += 1;
    const mine = latest.current;
    setProblem(null);
    const refused = refusal(file, name);
    if (refused !== null) {
      setProblem(refused);
      return null;
    }
    setReading(true);
    try {
      const decoded = await decode(file, name);
      return mine === latest.current ? decoded : null;
    } catch {
      if (mine === latest.current) setProblem(words.undecodable(name));
      return null;
    } finally {
      if (mine === latest.current) setReading(false);
    }
  }, []);

  const take = useCallback(
    async (file: Blob, name: string) => {
      const decoded = await read(file, name);
      if (decoded === null) return;
      setRecording(decoded);
      setPart({ from: 0, until: decoded.durationS });
      setPending(null);
      setRestored(false);
      await keepRecording(userId, { blob: file, name, part: null, pending: null });
    },
    [read, userId],
  );

  useEffect(() => {
    let left = false;
    const restore = async () => {
      const kept = await keptRecording(userId);
      if (left || kept === null) return;
      const decoded = await read(kept.blob, kept.name);
      if (left || decoded === null) return;
      setRecording(decoded);
      setPart(kept.part ?? { from: 0, until: decoded.durationS });
      setPending(kept.pending);
      setRestored(true);
    };
    void restore();
    return () => {
      left = true;
    };
  }, [read, userId]);

  const choose = useCallback(
    (chosen: Part) => {
      if (recording === null) return;
      setPart(chosen);
      // Another part is another recording: what was uploaded is not it.
      setPending(null);
      const { blob, name } = recording;
      void keepRecording(userId, { blob, name, part: chosen, pending: null });
    },
    [recording, userId],
  );

  const hold = useCallback(
    (begun: Pending | null) => {
      if (recording === null) return;
      setPending(begun);
      const { blob, name } = recording;
      void keepRecording(userId, { blob, name, part, pending: begun });
    },
    [recording, part, userId],
  );

  const forget = useCallback(() => {
    latest.current += 1;
    setRecording(null);
    setPart(NOTHING);
    setPending(null);
    setProblem(null);
    setRestored(false);
    setReading(false);
    void keepRecording(userId, null);
  }, [userId]);

  return {
    recording,
    part,
    pending,
    reading,
    problem,
    restored,
    take,
    choose,
    hold,
    complain: setProblem,
    forget,
  };
}

function refusal(file: Blob, name: string): string | null {
  if (!maySound(file.type, name)) return words.notSound(name);
  if (file.size === 0) return words.emptyFile(name);
  if (file.size > MOST_READ_BYTES) return words.fileTooLarge(bytes(file.size), bytes(MOST_READ_BYTES));
  return null;
}
