import { expect, test } from "vitest";
import { acceptedType, maySound } from "@/studio/pages/clone/formats";
import { microphoneProblem } from "@/studio/pages/clone/microphone";
import { bytesToSend, type Recording, toSend } from "@/studio/pages/clone/recording";
import { encodeWav, mixDown, wavBytes } from "@/studio/pages/clone/wav";

const MOST = 10 * 1024 * 1024;

function recording(type: string, name: string, size = 100): Recording {
  return {
    blob: new Blob([new Uint8Array(size)], { type }),
    name,
    samples: new Float32Array(48_000),
    durationS: 2,
  };
}

test("a WAV file is one that others can read", async () => {
  const wav = encodeWav(Float32Array.from([0, 1, -1, 0.5, 2]), 24_000);
  const view = new DataView(await wav.arrayBuffer());
  const text = (at: number) => String.fromCharCode(...[0, 1, 2, 3].map((each) => view.getUint8(at + each)));
  expect([text(0), text(8), text(12), text(36)]).toEqual(["RIFF", "WAVE", "fmt ", "data"]);
  expect(view.getUint32(24, true)).toBe(24_000);
  expect(view.getUint32(40, true)).toBe(10);
  expect([0, 1, 2, 3, 4].map((at) => view.getInt16(44 + at * 2, true))).toEqual([
    0, 32_767, -32_768, 16_384, 32_767,
  ]);
  expect(wav.size).toBe(wavBytes(5 / 24_000));
});

test("180 seconds fit into what is taken", () => {
  expect(wavBytes(180)).toBeLessThan(MOST);
});

test("two channels become one", () => {
  const [one, two] = [Float32Array.from([1, 0]), Float32Array.from([0, 0.5])];
  expect([...mixDown([one, two])]).toEqual([0.5, 0.25]);
});

test("what the service takes goes as it came, under one of its names", () => {
  expect(acceptedType("audio/x-wav", "a.wav")).toBe("audio/wav");
  expect(acceptedType("audio/mp3", "a.mp3")).toBe("audio/mpeg");
  expect(acceptedType("", "a.M4A")).toBe("audio/mp4");
  expect(acceptedType("audio/webm;codecs=opus", "a.webm")).toBeNull();
  const mp3 = recording("audio/mp3", "a.mp3");
  expect(toSend(mp3, { from: 0, until: 2 }, MOST)).toMatchObject({ type: "audio/mpeg", size: 100 });
});

test("a part, an unknown kind and a file that is too large go as WAV", () => {
  const part = { from: 0.5, until: 1.5 };
  const cases: [Recording, { from: number; until: number }][] = [
    [recording("audio/mpeg", "a.mp3"), part],
    [recording("audio/webm", "a.webm"), { from: 0, until: 2 }],
    [recording("audio/wav", "a.wav", MOST + 1), { from: 0, until: 2 }],
  ];
  for (const [one, chosen] of cases) {
    const sent = toSend(one, chosen, MOST);
    expect(sent.type).toBe("audio/wav");
    expect(sent.size).toBe(bytesToSend(one, chosen, MOST));
    expect(sent.size).toBe(wavBytes(chosen.until - chosen.from));
  }
});

test("what cannot be sound is not read", () => {
  expect(maySound("image/png", "a.png")).toBe(false);
  expect(maySound("", "notes.txt")).toBe(false);
  expect(maySound("", "voice.opus")).toBe(true);
  expect(maySound("video/mp4", "clip.mp4")).toBe(true);
});

test("each way a microphone cannot be had has its sentence", () => {
  const names = [
    "NotAllowedError",
    "NotFoundError",
    "NotReadableError",
    "InsecureContextError",
    "NotSupportedError",
    "X",
  ];
  const said = names.map((name) => microphoneProblem(new DOMException("", name)));
  expect(new Set(said).size).toBe(names.length);
});
