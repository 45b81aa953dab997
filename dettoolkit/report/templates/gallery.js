// The gallery: controls, counts and a page of cards at a time. Uses element() of report.js and the two files beside it.

const CARDS_PER_PAGE = 24;
const DASHES = { missed: "5 3", mistaken: "1.5 3", ignored: "1 4", duplicate: "9 3" };

function startGallery(model) {
  const control = (id) => document.getElementById(id);
  const state = { kinds: new Set(), page: 0, order: [], focused: 0 };
  const label = () => control("class").value === "" ? -1 : Number(control("class").value);
  const byClass = () => control("score-by-class").checked;
  const limits = () => byClass() ? model.thresholds : model.thresholds.map(() => 200 * Math.round(100 * control("score").value));
  const isDim = (box) => (label() >= 0 && box.label !== label()) || (state.kinds.size > 0 && !state.kinds.has(box.kind));
  const colorOf = (box) => control("coloring").value === "class" ? model.colors[box.label] : `var(--${KIND_NAMES[box.kind]})`;
  const drawing = { isDim, colorOf, textColorOf: (box) => control("coloring").value === "class" ? model.textColors[box.label] : "var(--on-kind)" };

  // ---- counts

  function totals() {
    const sums = new Array(NUM_KINDS).fill(0);
    for (const image of state.searched) for (let kind = 0; kind < NUM_KINDS; kind++) sums[kind] += model.count(image, kind);
    return sums;
  }

  function showCounts() {
    const sums = totals(), format = (number) => number.toLocaleString("en");
    for (const chip of control("kinds").children) {
      chip.lastChild.textContent = format(sums[chip.dataset.kind]);
      chip.setAttribute("aria-pressed", String(state.kinds.has(Number(chip.dataset.kind))));
    }
    const wrong = sums.slice(0, WRONG_KINDS).reduce((a, b) => a + b, 0);
    const all = model.length === state.order.length ? "" : ` of ${format(model.length)}`;
    control("totals").textContent = `${format(state.order.length)}${all} images. Objects found: ${format(sums[RIGHT])}, not found: `
      + `${format(sums[MISSED] + sums[MISTAKEN])}. Wrong predictions: ${format(wrong)}.`;
    const value = Number(control("score").value).toFixed(2);
    control("score-value").textContent = byClass() ? thresholdText() : value;
    control("score").setAttribute("aria-valuetext", byClass() ? `chosen thresholds, ${thresholdText()}` : value);
  }

  function thresholdText() {
    if (label() >= 0) return model.thresholdTexts[label()];
    const texts = [...new Set(model.thresholdTexts)].sort();
    return texts.length > 1 ? `${texts[0]}–${texts.at(-1)}` : texts[0] ?? "";
  }

  // ---- order

  const ORDERS = {
    errors: (a, b) => model.errors(b) - model.errors(a),
    missed: (a, b) => model.notFound(b) - model.notFound(a),
    false: (a, b) => model.wrong(b) - model.wrong(a),
    loss: (a, b) => model.loss(b) - model.loss(a),
    fewest: (a, b) => model.errors(a) - model.errors(b) || model.count(b, RIGHT) - model.count(a, RIGHT),
    name: new Intl.Collator("en", { numeric: true }).compare,
  };

  function choose() {
    const wanted = control("search").value.toLowerCase();
    state.searched = [...model.names.keys()].filter((image) => model.names[image].toLowerCase().includes(wanted)
      && (label() < 0 || model.hasLabel(image, label())));
    const kinds = [...state.kinds];
    const order = kinds.length ? state.searched.filter((image) => kinds.some((kind) => model.count(image, kind) > 0)) : [...state.searched];
    const by = control("order").value, compare = ORDERS[by];
    state.order = order.sort(by === "name" ? (a, b) => compare(model.names[a], model.names[b]) : compare);
  }

  // ---- cards: as many as a page has, filled again for each page, and drawn when they come into sight

  const cards = [];
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const card = cards.find((one) => one.node === entry.target);
      card.inSight = entry.isIntersecting;
      if (card.inSight) drawCard(card);
    }
  }, { rootMargin: "150px 0px" });

  function makeCard(place) {
    const card = { place, image: -1, drawn: false, inSight: false, picture: element("img", { alt: "", decoding: "async" }),
      boxes: element("svg", { "aria-hidden": "true" }), fault: element("span", { class: "fault" }), name: element("b", {}), counts: element("span", {}) };
    card.node = element("button", { type: "button", class: "card", tabindex: -1 },
      element("span", { class: "frame" }, card.fault, card.picture, card.boxes), element("span", { class: "caption" }, card.name, card.counts));
    card.node.addEventListener("click", () => viewer.open(state.order, state.page * CARDS_PER_PAGE + place));
    card.node.addEventListener("focus", () => focusOn(place, false));
    return card;
  }

  function summary(image) {
    const parts = [`${model.count(image, RIGHT)} right`];
    if (model.notFound(image)) parts.push(`${model.notFound(image)} not found`);
    if (model.wrong(image)) parts.push(`${model.wrong(image)} wrong`);
    return parts.join(", ");
  }

  function drawCard(card) {
    if (card.drawn || card.image < 0) return;
    const { image } = card, { width, height } = model.size(image);
    card.drawn = true;
    card.fault.textContent = shownText(model.fault(image));
    card.picture.hidden = !model.picture(image);
    if (card.pictured !== image) {
      card.pictured = image;
      card.picture.src = model.picture(image);
    }
    const boxes = [...model.predictions(image).reverse(), ...model.objects(image).filter((box) => box.kind !== RIGHT)];
    card.boxes.setAttribute("viewBox", `0 0 ${width} ${height}`);
    card.boxes.replaceChildren(...outlines(boxes, drawing));
    card.counts.textContent = summary(image);
    card.node.setAttribute("aria-label", `${model.names[image]}: ${summary(image)}`);
  }

  function fillPage() {
    const first = state.page * CARDS_PER_PAGE, shown = state.order.slice(first, first + CARDS_PER_PAGE);
    while (cards.length < shown.length) {
      const card = makeCard(cards.length);
      cards.push(card);
      control("gallery").append(card.node);
      watcher.observe(card.node);
    }
    for (const card of cards) {
      card.image = shown[card.place] ?? -1;
      card.node.hidden = card.image < 0;
      card.drawn = false;
      if (card.image < 0) continue;
      card.name.textContent = model.names[card.image];
      const { width, height } = model.size(card.image);
      card.node.style.setProperty("--ratio", width / height);
      card.node.setAttribute("aria-label", model.names[card.image]);
      if (card.inSight) drawCard(card);
    }
    const pages = Math.max(1, Math.ceil(state.order.length / CARDS_PER_PAGE));
    control("pager").hidden = pages < 2;
    control("page").max = pages;
    control("page").value = state.page + 1;
    control("num-pages").textContent = pages.toLocaleString("en");
    control("page-back").disabled = state.page === 0;
    control("page-on").disabled = state.page === pages - 1;
    focusOn(Math.max(0, Math.min(state.focused, shown.length - 1)), false);
  }

  function focusOn(place, move) {
    state.focused = place;
    for (const card of cards) card.node.tabIndex = card.place === place ? 0 : -1;
    if (move) cards[place]?.node.focus();
  }

  function turnTo(page, top = true) {
    const pages = Math.max(1, Math.ceil(state.order.length / CARDS_PER_PAGE));
    state.page = Math.min(Math.max(0, page), pages - 1);
    fillPage();
    if (top) control("kinds").scrollIntoView({ block: "start" });
  }

  // ---- what is asked for

  // While the slider moves, the images stay where they are; when it is let go, they are put in order.
  function drawInPlace() {
    model.recount(limits(), label());
    showCounts();
    for (const card of cards) {
      card.drawn = false;
      if (card.inSight) drawCard(card);
    }
  }

  function update() {
    model.recount(limits(), label());
    choose();
    showCounts();
    legend();
    state.page = state.focused = 0;
    fillPage();
  }

  function legend() {
    control("legend").hidden = control("coloring").value !== "class";
    control("legend").replaceChildren(...model.classNames.slice(0, 30).map((name, place) =>
      element("span", {}, element("i", { class: "swatch", style: `--color:${model.colors[place]}` }), name)),
    ...(model.classNames.length > 30 ? [`and ${model.classNames.length - 30} more`] : []));
  }

  for (const kind of [RIGHT, 0, 1, 2, 3, 4, MISSED]) {
    const line = element("svg", { viewBox: "0 0 20 12", "aria-hidden": "true" }, element("rect", { x: 1.5, y: 1.5, width: 17, height: 9,
      class: KIND_NAMES[kind], "stroke-dasharray": DASHES[KIND_NAMES[kind]] ?? "", style: `stroke:var(--${KIND_NAMES[kind]})` }));
    const chip = element("button", { type: "button", "aria-pressed": "false", "data-kind": kind }, line, element("span", {}, KIND_NAMES[kind]), element("b", {}));
    chip.addEventListener("click", () => {
      if (!state.kinds.delete(kind)) state.kinds.add(kind);
      update();
    });
    control("kinds").append(chip);
  }
  model.classNames.forEach((name, place) => control("class").append(element("option", { value: place }, name)));
  control("score").min = Math.min(0.99, Math.ceil(100 * model.lowest - 1e-9) / 100);
  control("score").value = median(model.thresholds) / 20000;
  let waiting = false;
  control("score").addEventListener("input", () => {
    control("score-one").checked = true;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawInPlace(); });
  });
  for (const id of ["score", "score-by-class", "score-one", "class", "order", "coloring"]) control(id).addEventListener("change", update);
  control("search").addEventListener("input", update);
  control("page").addEventListener("change", () => turnTo(Math.round(control("page").value || 1) - 1));
  control("page-back").addEventListener("click", () => turnTo(state.page - 1));
  control("page-on").addEventListener("click", () => turnTo(state.page + 1));
  control("gallery").addEventListener("keydown", (event) => {
    const columns = getComputedStyle(control("gallery")).gridTemplateColumns.split(" ").length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -state.focused, End: CARDS_PER_PAGE };
    const last = Math.min(CARDS_PER_PAGE, state.order.length - state.page * CARDS_PER_PAGE) - 1;
    if (event.key === "PageDown" || event.key === "PageUp") turnTo(state.page + (event.key === "PageDown" ? 1 : -1), false);
    else if (event.key in steps) focusOn(Math.min(Math.max(0, state.focused + steps[event.key]), last), true);
    else return;
    event.preventDefault();
    if (event.key.startsWith("Page")) focusOn(state.focused, true);
  });

  const viewer = startViewer(model, drawing, () => byClass() ? "at the chosen thresholds" : `from ${Number(control("score").value).toFixed(2)}`);
  window.openImage = (name) => {
    const image = model.indexOf(name), place = state.order.indexOf(image);
    if (image >= 0) viewer.open(place < 0 ? [image] : state.order, Math.max(0, place));
    return image >= 0;
  };
  update();
  followAddress();
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 10000;

// Outlines of many boxes: one path for those that look alike, above a white rim that keeps them visible on any ground.
function outlines(boxes, drawing) {
  const paths = new Map(), tenth = (value) => Math.round(10 * value) / 10;
  const outline = ({ x, y, width, height }) => `M${tenth(x)} ${tenth(y)}h${tenth(width)}v${tenth(height)}h${tenth(-width)}z`;
  for (const box of boxes) {
    const kind = KIND_NAMES[box.kind], look = `${kind} ${drawing.isDim(box) ? "dim" : ""}|${drawing.colorOf(box)}|${DASHES[kind] ?? ""}`;
    paths.set(look, (paths.get(look) ?? "") + outline(box));
  }
  const order = (look) => look.split("|")[0].includes(" dim") ? 0 : look.startsWith("right") ? 1 : 2;
  const looks = [...paths.keys()].sort((a, b) => order(a) - order(b));
  const rim = (level, names) => element("path", { d: looks.filter((look) => order(look) === level).map((look) => paths.get(look)).join(""), class: names });
  const rims = element("g", {}, rim(1, "shade right"), rim(2, "shade"));
  return [rims, ...looks.map((look) => {
    const [names, color, dashes] = look.split("|");
    return element("path", { d: paths.get(look), class: names, "stroke-dasharray": dashes, style: `stroke:${color}` });
  })];
}

// #image=<encodeURIComponent(file name)> opens that image, at load and whenever the address becomes that.
function followAddress() {
  const follow = () => {
    if (!location.hash.startsWith("#image=")) return;
    const text = location.hash.slice("#image=".length);
    let name = text;
    try { name = decodeURIComponent(text); } catch { /* no encoding: taken as it is */ }
    window.openImage(name);
  };
  window.addEventListener("hashchange", follow);
  if (location.hash.startsWith("#image=")) follow();
  else if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView(); // the gallery has moved what is below it
}

const galleryData = JSON.parse(document.getElementById("data").textContent);
if (galleryData.names.length) startGallery(unpackGallery(galleryData));
