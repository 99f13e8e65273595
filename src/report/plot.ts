/** One line of a plot. */
export interface Curve {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

/** A plot of curves, drawn as SVG; y is linear and begins at zero unless it is logarithmic. */
export interface Plot {
  readonly title: string;
  readonly xTitle: string;
  readonly yTitle: string;
  readonly curves: readonly Curve[];
  /** A line of small print, such as the machine. */
  readonly note: string;
  /** How x is spaced; logarithmic unless told. */
  readonly xScale?: "log" | "linear";
  /** How y is spaced; linear unless told. Where it is logarithmic, points that are not positive are left out. */
  readonly yScale?: "log" | "linear";
}

const SIZE = { width: 720, height: 420 } as const;
const FRAME = { left: 70, right: 690, top: 50, bottom: 350 } as const;
const COLOURS = ["#1f5fa8", "#b5471f", "#3b7d3b", "#7a4a9c", "#8a6d1d", "#2b8a8a", "#a03060", "#555555"];

/** Draws a plot as SVG; there is at least one point, and x is positive where it is logarithmic. */
export function svgOf(plot: Plot): string {
  const logarithmic = plot.yScale === "log";
  const curves = plot.curves.map(({ label, points }) => ({
    label,
    points: points.filter(({ y }) => !logarithmic || y > 0),
  }));
  const points = curves.flatMap((curve) => curve.points);
  const [low, high] = [Math.min(...points.map(({ x }) => x)), Math.max(...points.map(({ x }) => x))];
  const top = roundUp(Math.max(...points.map(({ y }) => y), 1e-9));
  const linear = plot.xScale === "linear";
  const span = (linear ? high - low : Math.log2(high / low)) || 1;
  const along = (x: number) => (linear ? x - low : Math.log2(x / low)) / span;
  const atX = (x: number) => FRAME.left + (FRAME.right - FRAME.left) * along(x);
  const decades = logarithmic ? decadesOf(points.map(({ y }) => y)) : [];
  const bottom = decades[0] ?? 0;
  const up = (y: number) => (logarithmic ? Math.log(y / bottom) / Math.log(decades.at(-1)! / bottom) : y / top);
  const atY = (y: number) => FRAME.bottom - (FRAME.bottom - FRAME.top) * up(y);
  const yTicks = logarithmic ? decades : [0, 0.25, 0.5, 0.75, 1].map((part) => part * top);
  const ticks = linear
    ? [0, 0.25, 0.5, 0.75, 1].map((part) => low + part * span)
    : [...new Set(points.map(({ x }) => x))].sort((a, b) => a - b);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}"`,
    'font-family="sans-serif" font-size="12">',
    `<rect width="${SIZE.width}" height="${SIZE.height}" fill="white"/>`,
    text(SIZE.width / 2, 24, plot.title, 'text-anchor="middle" font-size="16"'),
    ...yTicks.map((y) => yTick(atY(y), y)),
    ...ticks.map((x) => text(atX(x), FRAME.bottom + 18, shortNumber(x), 'text-anchor="middle"')),
    text((FRAME.left + FRAME.right) / 2, FRAME.bottom + 38, plot.xTitle, 'text-anchor="middle"'),
    text(FRAME.left, FRAME.top - 10, plot.yTitle),
    ...curves.map((curve, index) => curveOf(curve, COLOURS[index % COLOURS.length]!, atX, atY)),
    ...curves.map(({ label }, index) =>
      text(FRAME.left + 12, FRAME.top + 18 + 16 * index, label, `fill="${COLOURS[index % COLOURS.length]}"`),
    ),
    text(FRAME.left, SIZE.height - 10, plot.note, 'fill="#666" font-size="10"'),
    "</svg>",
    "",
  ].join("\n");
}

function curveOf({ points }: Curve, colour: string, atX: (x: number) => number, atY: (y: number) => number): string {
  const places = points.map(({ x, y }) => `${atX(x).toFixed(1)},${atY(y).toFixed(1)}`);
  const dots = places.map((place) => {
    const [cx, cy] = place.split(",");
    return `<circle cx="${cx}" cy="${cy}" r="2.5" fill="${colour}"/>`;
  });
  return `<polyline points="${places.join(" ")}" fill="none" stroke="${colour}" stroke-width="1.5"/>${dots.join("")}`;
}

function yTick(y: number, value: number): string {
  const line = `<line x1="${FRAME.left}" x2="${FRAME.right}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}" stroke="#ddd"/>`;
  return line + text(FRAME.left - 8, y + 4, shortNumber(value), 'text-anchor="end"');
}

function text(x: number, y: number, content: string, more = ""): string {
  const safe = content.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${more}>${safe}</text>`;
}

function shortNumber(value: number): string {
  if (value >= 1e9) return `${value / 1e9}G`;
  if (value >= 1e6) return `${value / 1e6}M`;
  return value >= 10_000 ? `${Math.round(value / 100) / 10}k` : `${Math.round(value * 10) / 10}`;
}

/** Powers of ten from below the least value to above the greatest; two at least. */
function decadesOf(values: readonly number[]): number[] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(Math.ceil(Math.log10(Math.max(...values))), low + 1);
  return Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i));
}

/** The next 1, 2 or 5 times a power of ten. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value)!;
}
