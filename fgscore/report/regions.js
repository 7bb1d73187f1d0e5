// Regions: the data as the report packed them, the best of an image, and how they are drawn.
// Everything shown is set as text or attribute, never parsed as HTML: names and ids come from anywhere.

const SVG = "http://www.w3.org/2000/svg";
const DRAWN = ["svg", "path", "rect", "g", "text"];
const unpack = (text, Type) => new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

function make(name, attributes = {}, ...children) {
  const node = DRAWN.includes(name) ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

// A data set with its numbers unpacked, and the most regions that an image has.
function open(set) {
  if (set.most) return set;
  for (const source of set.sources) {
    source.boxes = unpack(source.boxes, Int32Array);
    if (source.masks) source.masks.runs = unpack(source.masks.runs, Uint8Array);
    for (const name of Object.keys(source.targets)) source.targets[name] = unpack(source.targets[name], Int16Array);
    for (const view of source.views) view.scores = unpack(view.scores, Float32Array);
  }
  for (const result of set.results) result.predictions = unpack(result.predictions, Int16Array);
  const counts = set.sources.flatMap((s) => s.offsets.slice(1).map((stop, i) => stop - s.offsets[i]));
  set.most = counts.reduce((a, b) => Math.max(a, b), 1);
  return set;
}

// The k best regions of an image, ties by position, weighted by the softmax of their scores.
function best(source, view, image, k) {
  const start = source.offsets[image];
  const regions = Array.from({ length: source.offsets[image + 1] - start }, (_, i) => start + i);
  const kept = regions.sort((a, b) => view.scores[b] - view.scores[a] || a - b).slice(0, k);
  const powers = kept.map((region) => Math.exp(view.scores[region] - view.scores[kept[0]]));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return kept.map((region, i) => ({ region, score: view.scores[region], weight: powers[i] / total }));
}

// A mask as the ends of its runs in each column, from top to bottom. It is packed as column-major runs, background
// first, each a little-endian base-128 number.
function columnsOf(masks, region, [width, height]) {
  const columns = Array.from({ length: width + 1 }, () => []);
  let position = 0;
  let inside = false;
  for (let i = masks.offsets[region]; i < masks.offsets[region + 1]; inside = !inside) {
    let run = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      more = masks.runs[i] > 127;
      run += (masks.runs[i++] & 127) << shift;
    }
    for (const stop = position + run; position < stop;) {
      const top = position % height;
      const length = Math.min(stop - position, height - top);
      if (inside) columns[Math.floor(position / height)].push(top, top + length);
      position += length;
    }
  }
  return columns;
}

// Paths of a mask's area and of its outline. Between two columns the outline runs where one has the mask and the other
// has not: between every other pair of their ends, sorted together.
function maskPaths(columns) {
  let area = "";
  let outline = "";
  columns.forEach((ends, x) => {
    for (let i = 0; i < ends.length; i += 2) area += `M${x} ${ends[i]}h1V${ends[i + 1]}h-1z`;
    for (const y of ends) outline += `M${x} ${y}h1`;
    const both = [...(columns[x - 1] || []), ...ends].sort((a, b) => a - b);
    for (let i = 0; i < both.length; i += 2) if (both[i] < both[i + 1]) outline += `M${x} ${both[i]}V${both[i + 1]}`;
  });
  return { area, outline };
}

// A region as shapes in pixels of the thumbnail: box or mask, and a tag with its rank.
function drawRegion(source, region, rank, { size, original }) {
  const edge = (j) => (source.boxes[4 * region + j] * size[j % 2]) / original[j % 2];
  const [left, top, right, bottom] = [0, 1, 2, 3].map(edge);
  const group = make("g", { class: rank ? "region" : "region first" });
  if (source.masks) {
    const { area, outline } = maskPaths(columnsOf(source.masks, region, size));
    group.append(make("path", { class: "mask", d: area }));
    for (const kind of ["halo", "line"]) group.append(make("path", { class: kind, d: outline }));
  } else {
    const box = { x: left, y: top, width: right - left, height: bottom - top };
    for (const kind of ["halo", "line"]) group.append(make("rect", { class: kind, ...box }));
  }
  const tag = String(rank + 1);
  const height = Math.max(...size) / 20;
  const width = height * (0.5 + 0.55 * tag.length);
  // boxes that lie on each other have their numbers in different corners, masks in their middle
  const corner = [rank % 2 ? right - width : left, rank % 4 > 1 ? bottom - height : top];
  const [x, y] = source.masks ? [(left + right - width) / 2, (top + bottom - height) / 2] : corner;
  group.append(make("rect", { class: "tag", x, y, width, height }));
  group.append(make("text", { x: x + width / 2, y: y + height * 0.8, "font-size": height * 0.8 }, tag));
  return group;
}

// The table's row of a region; it lights up the region's shapes while it is pointed at or its button is pressed.
function regionRow(rank, { score, weight }, target, overlay, mark) {
  const name = `Show region ${rank + 1} alone`;
  const button = make("button", { type: "button", "aria-pressed": "false", "aria-label": name }, String(rank + 1));
  const numbers = [score.toFixed(4), weight.toFixed(3)].map((text) => make("td", { class: "number" }, text));
  const row = make("tr", {}, make("td", {}, button), ...numbers, make("td", {}, target));
  const pressed = () => button.getAttribute("aria-pressed") === "true";
  const light = (on) => [overlay, mark, row].forEach((node) => node.classList.toggle("lit", on));
  row.addEventListener("mouseenter", () => light(true));
  row.addEventListener("mouseleave", () => light(pressed()));
  button.addEventListener("click", () => {
    button.setAttribute("aria-pressed", !pressed());
    light(pressed());
  });
  return row;
}
