// The gallery: pictures with boxes, drawn from the data of the page. Uses element() of report.js.

const data = JSON.parse(document.getElementById("data").textContent);
const FALSE = -1, IGNORED = -2, PAGE_LENGTH = 24;
const OUTCOME_COLORS = { right: "var(--right)", false: "var(--false)", missed: "var(--missed)", ignored: "#999" };
const DASHES = { right: "", false: "", missed: "5 3", ignored: "1.5 3" };

function startGallery() {
  const control = (id) => document.getElementById(id);
  const state = { visible: PAGE_LENGTH, order: [], opened: 0 };

  const threshold = () => Number(control("score").value);
  const isChosen = (label) => control("class").value === "" || Number(control("class").value) === label;
  const outcomeOfTruth = (box) => box.ignore ? "ignored" : box.found !== null && box.found >= threshold() ? "right" : "missed";
  const outcomeOfDetection = (box) => box.match === FALSE ? "false" : box.match === IGNORED ? "ignored" : "right";
  const shownTruth = (image) => image.truth.filter((box) => isChosen(box.label));
  const shownDetections = (image) => image.detections.filter((box) => isChosen(box.label) && box.score >= threshold());

  function count(image) {
    const truth = shownTruth(image).map(outcomeOfTruth), detections = shownDetections(image).map(outcomeOfDetection);
    const number = (list, outcome) => list.filter((item) => item === outcome).length;
    return { right: number(truth, "right"), missed: number(truth, "missed"), false: number(detections, "false") };
  }

  function rectangle(box, outcome, title) {
    const byClass = control("coloring").value === "class";
    const [x, y, width, height] = box.box;
    return element("rect", { x, y, width, height, class: outcome, "stroke-dasharray": DASHES[outcome],
      style: `stroke:${byClass ? data.colors[box.label] : OUTCOME_COLORS[outcome]}` }, element("title", {}, title));
  }

  function boxes(image, kind, withLabels) {
    const isTruth = kind === "truth";
    const nodes = [], labels = [];
    for (const box of (isTruth ? shownTruth(image) : shownDetections(image)).reverse()) {
      const outcome = isTruth ? outcomeOfTruth(box) : outcomeOfDetection(box);
      const name = data.classNames[box.label];
      const short = isTruth ? name : `${name} ${box.score.toFixed(2)}`;
      const rect = rectangle(box, outcome, isTruth ? `${name}: ${outcome}` : `${short}: ${outcome}, IoU ${box.iou.toFixed(2)}`);
      nodes.push(rect);
      if (withLabels) labels.push(label(image, box, short, rect.style.stroke));
    }
    return element("svg", { viewBox: `0 0 ${image.width} ${image.height}`, "aria-hidden": "true" }, ...nodes, ...labels);
  }

  function label(image, box, text, color) {
    const size = Math.max(image.width, image.height) / 45;
    const y = box.box[1] > size * 1.4 ? box.box[1] - size * 0.35 : box.box[1] + size * 1.1;
    const textColor = control("coloring").value === "class" ? data.textColors[box.label] : "var(--on-outcome)";
    const atRight = box.box[0] + 0.65 * size * text.length > image.width; // about the width of the text
    const x = atRight ? image.width - size / 5 : box.box[0];
    return element("text", { x, y, "font-size": size, "stroke-width": size / 2.5, "text-anchor": atRight ? "end" : "start",
      style: `fill:${textColor};stroke:${color}` }, text);
  }

  function panel(image, kind, withLabels) {
    const picture = element("img", { src: image.thumbnail, alt: "", width: image.width, height: image.height });
    return element("span", { class: "panel", style: `--ratio:${image.width / image.height}` }, picture, boxes(image, kind, withLabels));
  }

  function card(index, place) {
    const image = data.images[index], counts = count(image);
    const summary = `${counts.right} right, ${counts.missed} missed, ${counts.false} false`;
    const node = element("button", { type: "button", class: "card", "aria-label": `${image.name}: ${summary}` },
      element("span", { class: "panels" }, panel(image, "truth", false), panel(image, "detections", false)),
      element("span", { class: "caption" }, element("b", {}, image.name), element("span", {}, summary)));
    node.addEventListener("click", () => open(place));
    return node;
  }

  function sort() {
    const counts = data.images.map(count);
    const errors = (index) => counts[index].missed + counts[index].false;
    const by = {
      errors: (a, b) => errors(b) - errors(a),
      missed: (a, b) => counts[b].missed - counts[a].missed,
      false: (a, b) => counts[b].false - counts[a].false,
      right: (a, b) => errors(a) - errors(b) || counts[b].right - counts[a].right,
      name: (a, b) => data.images[a].name.localeCompare(data.images[b].name, undefined, { numeric: true }),
    };
    const withClass = (image) => control("class").value === "" || shownTruth(image).length + shownDetections(image).length > 0;
    state.order = [...data.images.keys()].filter((index) => withClass(data.images[index])).sort(by[control("order").value]);
    const sum = (outcome) => counts.reduce((total, one) => total + one[outcome], 0);
    control("totals").textContent = `Images: ${state.order.length}. Boxes right: ${sum("right")}, missed: ${sum("missed")}, false: ${sum("false")}.`;
  }

  function legend() {
    const line = (outcome) => element("svg", { viewBox: "0 0 26 12" },
      element("rect", { x: 1, y: 1, width: 24, height: 10, class: outcome, "stroke-dasharray": DASHES[outcome], style: `stroke:${OUTCOME_COLORS[outcome]}` }));
    const swatch = (color) => element("i", { class: "swatch", style: `--color:${color}` });
    const items = control("coloring").value === "class"
      ? data.classNames.map((name, index) => element("span", {}, swatch(data.colors[index]), name)).slice(0, 30)
      : ["right", "missed", "false", "ignored"].map((outcome) => element("span", {}, line(outcome), outcome));
    control("legend").replaceChildren(element("span", {}, "Left: ground truth. Right: predictions."), ...items);
  }

  function draw() {
    control("score-value").textContent = threshold().toFixed(2);
    sort();
    legend();
    control("gallery").replaceChildren(...state.order.slice(0, state.visible).map(card));
    control("more").hidden = state.visible >= state.order.length;
  }

  function open(place) {
    if (!state.order.length) return;
    state.opened = (place + state.order.length) % state.order.length;
    const image = data.images[state.order[state.opened]];
    control("viewer-name").textContent = `${image.name} (${state.opened + 1} of ${state.order.length})`;
    const figure = (title, kind) => element("figure", {}, element("figcaption", {}, title), panel(image, kind, true));
    control("viewer-panels").replaceChildren(figure("Ground truth", "truth"), figure(`Predictions from ${threshold().toFixed(2)}`, "detections"));
    if (!control("viewer").open) control("viewer").showModal();
  }

  control("score").value = data.scoreThreshold;
  data.classNames.forEach((name, label) => control("class").append(element("option", { value: label }, name)));
  let waiting = false;
  control("score").addEventListener("input", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  });
  for (const id of ["class", "order", "coloring"]) {
    control(id).addEventListener("change", () => { state.visible = PAGE_LENGTH; draw(); });
  }
  control("more").addEventListener("click", () => { state.visible += PAGE_LENGTH; draw(); });
  control("previous").addEventListener("click", () => open(state.opened - 1));
  control("next").addEventListener("click", () => open(state.opened + 1));
  control("close").addEventListener("click", () => control("viewer").close());
  control("viewer").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") open(state.opened - 1);
    if (event.key === "ArrowRight") open(state.opened + 1);
  });
  draw();
  document.getElementById(location.hash.slice(1))?.scrollIntoView(); // the gallery has moved what is below it
}

if (data.images.length) startGallery();
