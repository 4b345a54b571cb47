import { BufferSource, EncodedPacketSink, Input, MP4 } from "mediabunny";
import { expect, test } from "vitest";
import { joined } from "@/studio/player/bytes";
import { Fragments } from "@/studio/player/fragments";
import { FRAME_S, frameOfMp3, noteOfMp3 } from "./mp3";

const contents = [...Array(50).keys()].map((index) => index + 1);

test("MP3 comes out frame by frame as it went in, in order and without a gap", async () => {
  const written: Uint8Array[] = [];
  const fragments = new Fragments((fragment) => written.push(fragment));
  const file = joined(noteOfMp3(), ...contents.map(frameOfMp3));
  for (let at = 0; at < file.length; at += 1000) await fragments.push(file.slice(at, at + 1000));
  await fragments.finish();

  const input = new Input({ formats: [MP4], source: new BufferSource(joined(...written)) });
  const track = await input.getPrimaryAudioTrack();
  expect(track?.codec).toBe("mp3");
  const found = [];
  if (track) for await (const packet of new EncodedPacketSink(track).packets()) found.push(packet);
  expect(found.map((packet) => packet.data[100])).toEqual(contents);
  for (const [index, packet] of found.entries()) expect(packet.timestamp).toBeCloseTo(index * FRAME_S, 3);
});

test("what came can be played before the rest is there", async () => {
  const written: Uint8Array[] = [];
  const fragments = new Fragments((fragment) => written.push(fragment));
  await fragments.push(joined(...contents.slice(0, 6).map(frameOfMp3)));
  expect(written).toHaveLength(1);
  // Only the newest frame waits, for the next one.
  const input = new Input({ formats: [MP4], source: new BufferSource(joined(...written)) });
  const track = await input.getPrimaryAudioTrack();
  const found = [];
  if (track) for await (const packet of new EncodedPacketSink(track).packets()) found.push(packet.data[100]);
  expect(found).toEqual([1, 2, 3, 4, 5]);
});

test("what is no MP3 is refused at its end", async () => {
  const fragments = new Fragments(() => undefined);
  await fragments.push(new Uint8Array(500).fill(7));
  await expect(fragments.finish()).rejects.toThrow("no frame of MP3");
});
