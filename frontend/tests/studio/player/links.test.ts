import { expect, test } from "vitest";
import { fileName, ownOrigin } from "@/studio/player/links";

test("a link into the store is asked of this page's own address", () => {
  expect(ownOrigin("http://127.0.0.1:8000/objects/generations/u/a.mp3?token=t")).toBe(
    "/objects/generations/u/a.mp3?token=t",
  );
  expect(ownOrigin("/objects/x.mp3?a=b")).toBe("/objects/x.mp3?a=b");
});

test("a link elsewhere stays as it is", () => {
  expect(ownOrigin("https://store.example/bucket/a.mp3?sig=1")).toBe(
    "https://store.example/bucket/a.mp3?sig=1",
  );
  expect(ownOrigin("blob:http://localhost/1")).toBe("blob:http://localhost/1");
});

test.each([
  ["Ann", "Hello, world!", "/objects/a.mp3?token=1", "Ann-Hello-world.mp3"],
  ["Ann", "Hello", "/objects/a.wav", "Ann-Hello.wav"],
  ["小红", "你好 世界", "/objects/a.mp3", "小红-你好-世界.mp3"],
  ["/../", "", "/objects/a", "speech.mp3"],
])("a file of %s saying %s is called %s", (title, about, link, name) => {
  expect(fileName(title, about, link)).toBe(name);
});

test("a file's name stays short", () => {
  expect(fileName("Ann", "word ".repeat(100), "/objects/a.mp3").length).toBeLessThanOrEqual(64);
});
