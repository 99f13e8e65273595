import { expect, test } from "vitest";
import { svgOf } from "../../src/report/plot.js";

test("a plot has every point of every curve inside its frame, and escapes what it prints", () => {
  const svg = svgOf({
    title: "a < b & c",
    xTitle: "x",
    yTitle: "y",
    note: "note",
    curves: [
      {
        label: "ours",
        points: [
          { x: 1, y: 10 },
          { x: 1024, y: 43 },
        ],
      },
      { label: "theirs", points: [{ x: 32, y: 5 }] },
    ],
  });
  expect(svg).toContain("a &lt; b &amp; c");
  const dots = [...svg.matchAll(/cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => [Number(x), Number(y)]);
  expect(dots).toHaveLength(3);
  expect(dots[0]![0]).toBe(70);
  expect(dots[1]![0]).toBe(690);
  expect(dots[2]![0]).toBe(380);
  for (const [, y] of dots) expect(y! >= 50 && y! <= 350).toBe(true);
});
