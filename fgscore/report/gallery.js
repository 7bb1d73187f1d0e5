// The gallery: one image at a time, its best regions under two scorers side by side.

const byId = (id) => document.getElementById(id);
const pairs = (values, text = (value) => value) => values.map((value) => [value, text(value)]);

// The name of class c of a set; of an image without a label that it has none.
const named = (set, c, none = "no label") => (c < 0 ? none : set.classes[c]);

// Give a list its options, (value, text) each; the value stays or becomes the first.
function fill(select, options, value) {
  select.replaceChildren(...options.map(([key, text]) => new Option(text, key)));
  select.value = options.some(([key]) => String(key) === String(value)) ? value : options[0][0];
  select.disabled = options.length < 2;
}

const OUTCOMES = [["", "right or wrong"], ...pairs(["right", "wrong"])];
const AGAINST = [
  ["mended", "right where the other is wrong"],
  ["broken", "wrong where the other is right"],
];
const AGREEMENTS = [
  ["", "anything"],
  ["best", "another best region"],
  ["none", "no region in common"],
  ["same", "the same regions"],
];

function gallery(sets) {
  const state = { set: null, matching: [], at: 0, k: 5, sides: [] };
  const value = (id) => byId(id).value;
  const predicted = (i, by = "result") => (value(by) === "" ? -1 : state.set.results[Number(value(by))].predictions[i]);
  const view = (side) =>
    side.source.views.find((v) => v.scorer === side.scorer.value && v.target === side.target.value);
  const kept = (side, i) => best(side.source, view(side), i, state.k);

  // ---- choosing

  function chooseSet() {
    const set = (state.set = open(sets[Number(value("set"))]));
    state.matching = [];
    const present = [...new Set(set.images.map((i) => i.label))].sort((a, b) => a - b);
    fill(byId("class"), [["", `all ${present.length}`], ...pairs(present, (c) => named(set, c))], "");
    const results = set.results.map((result, i) => [i, result.label]);
    fill(byId("result"), results.length ? results : [["", "no results"]], set.chosen);
    fill(byId("against"), [["", "none"], ...results], "");
    fill(byId("outcome"), results.length ? OUTCOMES : [["", "-"]], "");
    byId("k").max = set.most;
    setK(Math.min(5, set.most));
    const sources = set.sources.map((source, i) => [i, source.label]);
    state.sides.forEach((side, column) => {
      fill(side.sources, sources, 0);
      chooseSource(side, column);
    });
    filter();
  }

  function chooseSource(side, column = 0) {
    side.source = state.set.sources[Number(side.sources.value)];
    const scorers = new Map(side.source.views.map((v) => [v.scorer, v.name]));
    fill(side.scorer, [...scorers], side.scorer.value || side.source.chosen[column]);
    chooseScorer(side);
  }

  function chooseScorer(side) {
    const own = side.source.views.filter((v) => v.scorer === side.scorer.value);
    fill(
      side.target,
      own.map((v) => [v.target, v.pseudo]),
      side.target.value || "global",
    );
  }

  function setK(k) {
    state.k = Math.max(1, Math.min(state.set.most, k));
    byId("k").value = state.k;
    byId("k-text").textContent = state.k === state.set.most ? `all (up to ${state.k})` : state.k;
  }

  // ---- filtering

  function filter() {
    const before = state.matching[state.at];
    const same = state.sides[0].source === state.sides[1].source;
    if (state.set.results.length)
      fill(byId("outcome"), value("against") === "" ? OUTCOMES : [...OUTCOMES, ...AGAINST], value("outcome"));
    fill(byId("agreement"), same ? AGREEMENTS : [["", "needs the same regions"]], value("agreement"));
    state.matching = [...state.set.images.keys()].filter(matches);
    state.at = Math.max(0, state.matching.indexOf(before));
    drawStrip();
    draw();
  }

  function matches(i) {
    const { label } = state.set.images[i];
    if (value("class") !== "" && Number(value("class")) !== label) return false;
    const [own, other] = ["result", "against"].map((by) => outcome(predicted(i, by), label));
    const told = { mended: own === "right" && other === "wrong", broken: own === "wrong" && other === "right" };
    if (value("outcome") && value("outcome") !== own && !told[value("outcome")]) return false;
    const asked = value("agreement");
    if (!asked) return true;
    const [a, b] = state.sides.map((side) => kept(side, i).map((one) => one.region));
    const common = a.filter((region) => b.includes(region)).length;
    return { best: a[0] !== b[0], none: common === 0, same: common === a.length }[asked];
  }

  function outcome(prediction, label) {
    if (prediction < 0 || label < 0) return "";
    return prediction === label ? "right" : "wrong";
  }

  // ---- drawing

  function draw() {
    const i = state.matching[state.at];
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
    const { id, label, nearest } = state.set.images[i];
    const where = `${state.at + 1} of ${state.matching.length}: ${id}`;
    const lines = [make("strong", {}, named(state.set, label)), make("span", { class: "id" }, where)];
    if (label < 0) lines.push(...(nearest ? [make("span", {}, `by text: ${nearest}`)] : []));
    else if (predicted(i) === label) lines.push(make("span", { class: "right" }, "predicted right"));
    else if (predicted(i) >= 0)
      lines.push(make("span", { class: "wrong" }, `predicted ${state.set.classes[predicted(i)]}, wrong`));
    const other = predicted(i, "against");
    if (other >= 0) lines.push(make("span", { class: "other" }, `the other: ${named(state.set, other)}`));
    byId("caption").replaceChildren(...lines);
  }

  function drawSide(side, i) {
    const shown = state.set.images[i];
    const [width, height] = shown.size;
    const overlay = make("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const targets = side.source.targets[side.target.value];
    const list = kept(side, i);
    const rows = list.map((one, rank) => {
      const mark = drawRegion(side.source, one.region, rank, shown);
      overlay.prepend(mark); // the best lies on top
      const target = targets ? named(state.set, targets[one.region], "none") : "none";
      return regionRow(rank, one, target, overlay, mark);
    });
    if (!rows.length) rows.push(make("tr", {}, make("td", { colspan: 4 }, "This image has no regions.")));
    const about = `${named(state.set, shown.label)}, the ${list.length} best regions by ${view(side).name}`;
    const picture = make("img", { src: `data:image/jpeg;base64,${shown.jpeg}`, alt: about, width, height });
    side.stage.replaceChildren(picture, overlay);
    side.rows.replaceChildren(...rows);
  }

  function drawStrip() {
    const items = state.matching.map((i, at) => {
      const { id, label, jpeg, size } = state.set.images[i];
      const source = { src: `data:image/jpeg;base64,${jpeg}`, width: size[0], height: size[1] };
      const picture = make("img", { ...source, alt: "", decoding: "async" });
      const name = `${named(state.set, label)}, ${id}`;
      const button = make("button", { type: "button", "aria-label": name, tabindex: -1 }, picture);
      if (predicted(i) >= 0 && label >= 0) button.classList.add(predicted(i) === label ? "right" : "wrong");
      button.addEventListener("click", () => go(at));
      return make("li", {}, button);
    });
    byId("strip").replaceChildren(...items);
  }

  // The strip is one tab stop: the image that is shown.
  function markStrip() {
    const strip = byId("strip");
    for (const old of strip.querySelectorAll("[aria-current]")) {
      old.removeAttribute("aria-current");
      old.tabIndex = -1;
    }
    const item = strip.children[state.at];
    item.firstChild.setAttribute("aria-current", "true");
    item.firstChild.tabIndex = 0;
    strip.scrollTo({ left: item.offsetLeft + (item.clientWidth - strip.clientWidth) / 2 });
    if (strip.contains(document.activeElement)) item.firstChild.focus({ preventScroll: true });
  }

  // ---- listening

  function go(at) {
    state.at = Math.max(0, Math.min(state.matching.length - 1, at));
    draw();
  }

  function changeK(k) {
    setK(k);
    if (value("agreement")) filter();
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
  for (const id of ["class", "result", "against", "outcome", "agreement"]) byId(id).addEventListener("change", filter);

  function makeSide(name) {
    const node = byId("side").content.firstElementChild.cloneNode(true);
    node.setAttribute("aria-label", name);
    byId("sides").append(node);
    const [sources, scorer, target] = node.querySelectorAll("select");
    const side = { sources, scorer, target, stage: node.querySelector(".stage"), rows: node.querySelector("tbody") };
    sources.addEventListener("change", () => chooseSource(side));
    scorer.addEventListener("change", () => chooseScorer(side));
    node.addEventListener("change", filter); // after those above: the event bubbles
    return side;
  }

  state.sides = ["Left", "Right"].map(makeSide);
  fill(
    byId("set"),
    sets.map((set, i) => [i, set.name]),
    0,
  );
  byId("set-label").hidden = sets.length < 2;
  chooseSet();
}

const data = JSON.parse(byId("data").textContent);
if (data.sets.length) gallery(data.sets);
