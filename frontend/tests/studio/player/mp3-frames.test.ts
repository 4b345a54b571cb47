import { describe, expect, test } from "vitest";
import { joined } from "@/studio/player/bytes";
import { Mp3Frames } from "@/studio/player/mp3-frames";
import { frameOfMp3, noteOfMp3, tagOfMp3 } from "./mp3";

const contents = [1, 2, 3, 4, 5];
const file = joined(tagOfMp3(200), noteOfMp3(), ...contents.map(frameOfMp3));

function cut(bytes: Uint8Array<ArrayBuffer>, length: number) {
  const frames = new Mp3Frames();
  const found = [];
  for (let at = 0; at < bytes.length; at += length) found.push(...frames.push(bytes.slice(at, at + length)));
  return found;
}

describe("frames of MP3", () => {
  test.each([1, 7, 64, 191, 192, 193, 500, 10_000])(
    "are the same where pieces are %i bytes long",
    (length) => {
      const found = cut(file, length);
      expect(found.map((frame) => frame.bytes[100])).toEqual(contents);
      expect(found[0]).toMatchObject({ sampleRate: 24_000, channels: 1, samples: 576 });
    },
  );

  test("begin again after noise", () => {
    const noise = new Uint8Array(77).fill(0x55);
    const found = cut(joined(frameOfMp3(1), noise, frameOfMp3(2)), 50);
    expect(found.map((frame) => frame.bytes[100])).toEqual([1, 2]);
  });

  test.each([
    [[0xff, 0xfb, 0x90, 0x00], { sampleRate: 44_100, channels: 2, samples: 1152 }, 417],
    [[0xff, 0xfb, 0x92, 0x00], { sampleRate: 44_100, channels: 2, samples: 1152 }, 418],
    [[0xff, 0xf3, 0x80, 0xc4], { sampleRate: 22_050, channels: 1, samples: 576 }, 208],
    [[0xff, 0xe3, 0x48, 0xc4], { sampleRate: 8000, channels: 1, samples: 576 }, 288],
  ])("are as long as their header %j says", (header, said, length) => {
    const bytes = new Uint8Array(length);
    bytes.set(header);
    const frames = new Mp3Frames();
    expect(frames.push(bytes.slice(0, length - 1))).toEqual([]);
    const [frame] = frames.push(bytes.slice(length - 1));
    expect(frame).toMatchObject(said);
    expect(frame?.bytes).toHaveLength(length);
  });

  test("are not found in what is no MP3", () => {
    expect(cut(new TextEncoder().encode("RIFF....WAVEfmt ".repeat(30)), 13)).toEqual([]);
    expect(cut(new Uint8Array(1000).fill(0xff), 90)).toEqual([]);
  });
});
