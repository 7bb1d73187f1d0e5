// The gallery: one image at a time, its best regions under two scorers side by side.
// Everything shown is set as text or attribute, never parsed as HTML: names and ids come from anywhere.

const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);
const unpack = (text, Type) => new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);

function make(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect", "g", "text"].includes(name);
  const node = svg ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function fill(select, options, value) {
  select.replaceChildren(...options.map(([key, text]) => new Option(text, key)));
  select.value = options.some(([key]) => String(key) === String(value)) ? value : options[0][0];
  select.disabled = options.length < 2;
  return select.value;
}

// ---- the data, as they were packed by the report

function open(set) {
  if (set.opened) return set;
  for (const source of set.sources) {
    source.boxes = unpack(source.boxes, Int32Array);
    if (source.masks) source.masks.runs = unpack(source.masks.runs, Uint8Array);
    for (const name of Object.keys(source.targets)) source.targets[name] = unpack(source.targets[name], Int16Array);
    for (const view of source.views) view.scores = unpack(view.scores, Float32Array);
  }
  for (const result of set.results) result.predictions = unpack(result.predictions, Int16Array);
  set.most = Math.max(1, ...set.sources.flatMap((s) => s.offsets.slice(1).map((stop, i) => stop - s.offsets[i])));
  return Object.assign(set, { opened: true });
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
    for (const stop = position + run; position < stop; ) {
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

function gallery(sets) {
  const state = { set: null, matching: [], at: 0, k: 5, sides: [] };
  const value = (id) => byId(id).value;
  const image = () => state.matching[state.at];
  const result = () => state.set.results[Number(value("result"))];

  function view(side) {
    return side.source.views.find((v) => v.scorer === side.scorer.value && v.target === side.target.value);
  }
  const kept = (side, i) => best(side.source, view(side), i, state.k);
  const regionsKept = (side, i) => kept(side, i).map((r) => r.region);

  // ---- choosing

  function chooseSet() {
    const set = (state.set = open(sets[Number(value("set"))]));
    const present = [...new Set(set.images.map((i) => i.label))].sort((a, b) => a - b);
    fill(byId("class"), [["", `all ${present.length}`], ...present.map((c) => [c, set.classes[c]])], "");
    const results = set.results.map((r, i) => [i, r.label]);
    fill(byId("result"), results.length ? results : [["", "no results"]], set.chosen);
    fill(byId("outcome"), results.length ? [["", "right or wrong"], ["right", "right"], ["wrong", "wrong"]] : [["", "-"]], "");
    byId("k").max = set.most;
    setK(Math.min(5, set.most));
    state.sides.forEach((side, i) => chooseSource(side, fill(side.sourceSelect, set.sources.map((s, j) => [j, s.label]), 0), i));
    filter();
  }

  function chooseSource(side, index, column = 0) {
    side.source = state.set.sources[Number(index)];
    const scorers = [...new Set(side.source.views.map((v) => v.scorer))];
    const preferred = side.scorer.value || side.source.chosen[column] || scorers[0];
    fill(side.scorer, scorers.map((s) => [s, s]), preferred);
    chooseScorer(side);
  }

  function chooseScorer(side) {
    const targets = side.source.views.filter((v) => v.scorer === side.scorer.value).map((v) => v.target);
    fill(side.target, targets.map((t) => [t, t || "none"]), side.target.value || "global");
  }

  function setK(k) {
    state.k = Math.max(1, Math.min(state.set.most, k));
    byId("k").value = state.k;
    byId("k-text").textContent = state.k === state.set.most ? `all (up to ${state.k})` : state.k;
  }

  // ---- filtering

  function filter(keep) {
    const [left, right] = state.sides;
    const same = left.source === right.source;
    const options = [["", same ? "anything" : "needs the same regions"], ["best", "another best region"], ["none", "no region in common"], ["same", "the same regions"]];
    fill(byId("agreement"), same ? options : options.slice(0, 1), value("agreement"));
    const before = keep ? image() : undefined;
    state.matching = state.set.images.map((_, i) => i).filter(matches);
    state.at = Math.max(0, state.matching.indexOf(before));
    drawStrip();
    draw();
  }

  function matches(i) {
    const { label } = state.set.images[i];
    if (value("class") !== "" && Number(value("class")) !== label) return false;
    if (value("outcome")) {
      const predicted = result().predictions[i];
      if (predicted < 0 || (predicted === label) !== (value("outcome") === "right")) return false;
    }
    const asked = value("agreement");
    if (!asked) return true;
    const [a, b] = state.sides.map((side) => regionsKept(side, i));
    const common = a.filter((r) => b.includes(r)).length;
    return { best: a[0] !== b[0], none: common === 0, same: common === a.length }[asked];
  }

  // ---- drawing

  function draw() {
    const i = image();
    byId("viewer").classList.toggle("empty", i === undefined);
    byId("previous").disabled = !(state.at > 0);
    byId("next").disabled = !(state.at < state.matching.length - 1);
    if (i === undefined) {
      byId("caption").textContent = "No image matches; widen the choice above.";
      return;
    }
    drawCaption(i);
    state.sides.forEach((side) => drawSide(side, i));
    markStrip();
  }

  function drawCaption(i) {
    const { id, label } = state.set.images[i];
    const lines = [make("strong", {}, state.set.classes[label]), make("span", { class: "id" }, `${state.at + 1} of ${state.matching.length}: ${id}`)];
    const predicted = result() ? result().predictions[i] : -1;
    if (predicted >= 0) {
      const right = predicted === label;
      const said = right ? "predicted right" : `predicted ${state.set.classes[predicted]}, wrong`;
      lines.push(make("span", { class: right ? "right" : "wrong" }, said));
    }
    byId("caption").replaceChildren(...lines);
  }

  function drawSide(side, i) {
    const shown = state.set.images[i];
    const [width, height] = shown.size;
    const overlay = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const rows = [];
    const list = kept(side, i);
    const targets = side.source.targets[side.target.value];
    list.forEach(({ region, score, weight }, rank) => {
      const mark = drawRegion(side.source, region, rank, shown);
      overlay.prepend(mark); // the best lies on top
      const target = targets ? state.set.classes[targets[region]] : "none";
      const button = make("button", { type: "button", "aria-pressed": "false", "aria-label": `Show region ${rank + 1} alone` }, String(rank + 1));
      const cells = [make("td", {}, button), make("td", { class: "number" }, score.toFixed(4)), make("td", { class: "number" }, weight.toFixed(3)), make("td", {}, target)];
      const row = make("tr", {}, ...cells);
      const light = (on) => [overlay, mark, row].forEach((node) => node.classList.toggle("lit", on));
      row.addEventListener("mouseenter", () => light(true));
      row.addEventListener("mouseleave", () => light(button.getAttribute("aria-pressed") === "true"));
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", on);
        light(on);
      });
      rows.push(row);
    });
    if (!rows.length) rows.push(make("tr", {}, make("td", { colspan: 4 }, "This image has no regions.")));
    const about = `${shown.id}, class ${state.set.classes[shown.label]}, with the ${list.length} best regions by ${side.scorer.value}`;
    const picture = make("img", { src: `data:image/jpeg;base64,${shown.jpeg}`, alt: about, width, height });
    side.stage.replaceChildren(picture, overlay);
    side.rows.replaceChildren(...rows);
  }

  function drawRegion(source, region, rank, { size, original }) {
    const [left, top, right, bottom] = [0, 1, 2, 3].map((j) => (source.boxes[4 * region + j] * size[j % 2]) / original[j % 2]);
    const group = make("g", { class: rank ? "region" : "region first" });
    if (source.masks) {
      const { area, outline } = maskPaths(columnsOf(source.masks, region, size));
      group.append(make("path", { class: "mask", d: area }), make("path", { class: "halo", d: outline }), make("path", { class: "line", d: outline }));
    } else {
      const box = { x: left, y: top, width: right - left, height: bottom - top };
      group.append(make("rect", { class: "halo", ...box }), make("rect", { class: "line", ...box }));
    }
    const unit = Math.max(...size) / 20;
    const tag = String(rank + 1);
    const wide = unit * (0.5 + 0.55 * tag.length);
    // boxes that lie on each other have their numbers in different corners
    const corner = [rank % 2 ? right - wide : left, rank % 4 > 1 ? bottom - unit : top];
    const [x, y] = source.masks ? [(left + right - wide) / 2, (top + bottom - unit) / 2] : corner;
    group.append(make("rect", { class: "tag", x, y, width: wide, height: unit }));
    group.append(make("text", { x: x + wide / 2, y: y + unit * 0.8, "font-size": unit * 0.8 }, tag));
    return group;
  }

  function drawStrip() {
    const items = state.matching.map((i, at) => {
      const { id, label, jpeg, size: [width, height] } = state.set.images[i];
      const picture = make("img", { src: `data:image/jpeg;base64,${jpeg}`, alt: "", loading: "lazy", width, height });
      const button = make("button", { type: "button", "aria-label": `${state.set.classes[label]}, ${id}`, tabindex: -1 }, picture);
      const predicted = result() ? result().predictions[i] : -1;
      if (predicted >= 0) button.classList.add(predicted === label ? "right" : "wrong");
      button.addEventListener("click", () => go(at));
      return make("li", {}, button);
    });
    byId("strip").replaceChildren(...items);
  }

  function markStrip() {
    byId("strip").querySelectorAll("[aria-current]").forEach((old) => {
      old.removeAttribute("aria-current");
      old.tabIndex = -1;
    });
    const item = byId("strip").children[state.at];
    const button = item.firstChild;
    button.setAttribute("aria-current", "true");
    button.tabIndex = 0;
    byId("strip").scrollTo({ left: item.offsetLeft - byId("strip").clientWidth / 2 + item.clientWidth / 2 });
    if (byId("strip").contains(document.activeElement)) button.focus({ preventScroll: true });
  }

  function go(at) {
    state.at = Math.max(0, Math.min(state.matching.length - 1, at));
    draw();
  }

  // ---- listening

  function changeK(k) {
    setK(k);
    if (value("agreement")) filter(true);
    else draw();
  }

  const keys = {
    ArrowLeft: () => go(state.at - 1),
    ArrowRight: () => go(state.at + 1),
    Home: () => go(0),
    End: () => go(state.matching.length - 1),
    "[": () => changeK(state.k - 1),
    "]": () => changeK(state.k + 1),
  };
  byId("gallery").addEventListener("keydown", (event) => {
    const plain = !(event.ctrlKey || event.metaKey || event.altKey);
    if (!plain || event.target.matches("select, input") || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  byId("previous").addEventListener("click", keys.ArrowLeft);
  byId("next").addEventListener("click", keys.ArrowRight);
  byId("k").addEventListener("input", () => changeK(Number(value("k"))));
  byId("set").addEventListener("change", chooseSet);
  ["class", "result", "outcome", "agreement"].forEach((id) => byId(id).addEventListener("change", () => filter(true)));

  for (const name of ["Left", "Right"]) {
    const node = byId("side").content.firstElementChild.cloneNode(true);
    node.setAttribute("aria-label", name);
    byId("sides").append(node);
    const find = (selector) => node.querySelector(selector);
    const side = { sourceSelect: find(".source"), scorer: find(".scorer"), target: find(".target"), stage: find(".stage"), rows: find("tbody") };
    side.sourceSelect.addEventListener("change", () => (chooseSource(side, side.sourceSelect.value), filter(true)));
    side.scorer.addEventListener("change", () => (chooseScorer(side), filter(true)));
    side.target.addEventListener("change", () => filter(true));
    state.sides.push(side);
  }
  fill(byId("set"), sets.map((set, i) => [i, set.name]), 0);
  byId("set-label").hidden = sets.length < 2;
  chooseSet();
}

const data = JSON.parse(byId("data").textContent);
if (data.sets.length) gallery(data.sets);
