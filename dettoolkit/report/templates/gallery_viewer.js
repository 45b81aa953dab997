// One image of the gallery, enlarged: ground truth beside predictions.

const MAX_ZOOM = 16;

function startViewer(model, drawing, scoreText) {
  const control = (id) => document.getElementById(id);
  const dialog = control("viewer");
  const shown = { truth: true, predictions: true };
  let order = [], opened = 0, zoom = 1, focused = { truth: 0, predictions: 0 };
  let boxes = { truth: [], predictions: [] }; // of the opened image, at the score that counts

  const panels = ["truth", "predictions"].map((kind) => {
    const picture = element("img", { alt: "", draggable: "false" }), svg = element("svg", { role: "group" });
    const stage = element("div", { class: "stage" }, picture, svg);
    const scroller = element("div", { class: "scroller", tabindex: -1 }, element("span", { class: "fault" }), stage);
    const title = element("figcaption", {});
    control("viewer-panels").append(element("figure", {}, title, scroller));
    return { kind, picture, svg, stage, scroller, title };
  });

  const image = () => order[opened];
  const labelText = (box) => box.isObject ? model.classNames[box.label] : `${model.classNames[box.label]} ${box.score.toFixed(2)}`;

  function describe(box) {
    const name = model.classNames[box.label], object = boxes.truth[box.partner];
    if (box.isObject) {
      const words = { [RIGHT]: "found", [MISSED]: "missed", [IGNORED]: "a crowd region, counted neither way",
        [MISTAKEN]: "not found: the prediction here is wrong in class or place" };
      const finder = boxes.predictions.find((one) => one.kind === RIGHT && one.partner === box.place);
      return `Object: ${name}, ${words[box.kind]}${finder ? ` with a score of ${finder.score.toFixed(2)}, IoU ${finder.iou.toFixed(2)}` : ""}.`;
    }
    const words = box.kind === RIGHT ? "right" : box.kind === IGNORED ? "in a crowd region, counted neither way" : `error: ${KIND_NAMES[box.kind]}`;
    const about = object ? ` with ${box.kind === RIGHT ? "its object" : "the nearest object that it is about"}, ${model.classNames[object.label]}` : " with the nearest object";
    return `Prediction: ${name}, score ${box.score.toFixed(2)}, IoU ${box.iou.toFixed(2)}${about}; ${words}.`;
  }

  // ---- boxes

  function light(box) {
    control("viewer-info").textContent = box ? describe(box) : "Point at a box, or go to it with ↑ and ↓, to read what it is.";
    for (const { kind, svg } of panels) {
      for (const node of svg.querySelectorAll("rect")) {
        const same = (kind === "truth") === box?.isObject && Number(node.dataset.place) === box.place;
        const partner = (kind === "truth") !== box?.isObject && box?.partner >= 0 && Number(node.dataset.partner) === box.partner;
        node.classList.toggle("lit", Boolean(box && (same || partner)));
      }
    }
  }

  function drawBoxes(panel) {
    const { width, height } = model.size(image()), scale = panel.stage.clientWidth / width || 1;
    const list = panel.list = shown[panel.kind] ? boxes[panel.kind] : [];
    panel.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    panel.svg.setAttribute("aria-label", panel.title.textContent);
    const rects = list.map((box, place) => rectangle(box, place, panel));
    const texts = list.filter((box) => !drawing.isDim(box)).map((box) => label(box, 12.5 / scale, width));
    const shade = outlines(list, drawing)[0]; // below all boxes
    panel.svg.replaceChildren(shade, ...rects.reverse(), ...texts.reverse()); // the highest score on top
  }

  function rectangle(box, place, panel) {
    const kind = KIND_NAMES[box.kind];
    const node = element("rect", { x: box.x, y: box.y, width: box.width, height: box.height, class: `${kind} ${drawing.isDim(box) ? "dim" : ""}`,
      "stroke-dasharray": DASHES[kind] ?? "", style: `stroke:${drawing.colorOf(box)}`, tabindex: place === focused[panel.kind] ? 0 : -1,
      role: "img", "aria-label": describe(box), "data-place": box.place, "data-partner": box.partner });
    node.addEventListener("pointerenter", () => light(box));
    node.addEventListener("pointerleave", () => light(null));
    node.addEventListener("focus", () => { focused[panel.kind] = place; light(box); });
    node.addEventListener("blur", () => light(null));
    return node;
  }

  function label(box, size, width) {
    const text = labelText(box), y = box.y > size * 1.4 ? box.y - size * 0.35 : box.y + size * 1.1;
    const atRight = box.x + 0.6 * size * text.length > width; // about the width of the text
    return element("text", { x: atRight ? width - size / 5 : Math.max(0, box.x), y, "font-size": size, "stroke-width": size / 2.5,
      "text-anchor": atRight ? "end" : "start", style: `fill:${drawing.textColorOf(box)};stroke:${drawing.colorOf(box)}` }, text);
  }

  function step(direction) {
    const panel = panels.find((one) => one.svg.contains(document.activeElement)) ?? panels.find((one) => one.list.length && one.kind === "predictions") ?? panels[0];
    if (!panel.list.length) return;
    const inside = panel.svg.contains(document.activeElement);
    const place = inside ? (focused[panel.kind] + direction + panel.list.length) % panel.list.length : focused[panel.kind] % panel.list.length;
    const nodes = [...panel.svg.querySelectorAll("rect")].reverse();
    nodes.forEach((node, other) => node.setAttribute("tabindex", other === place ? 0 : -1));
    nodes[place].focus();
  }

  // ---- size

  function layOut(center) {
    const { width, height } = model.size(image());
    for (const panel of panels) {
      const fit = Math.min(panel.scroller.offsetWidth / width, parseFloat(getComputedStyle(panel.scroller).maxHeight) / height);
      panel.scroller.style.height = `${Math.ceil(fit * height)}px`;
      const before = panel.stage.clientWidth, at = center ?? { x: panel.scroller.clientWidth / 2, y: panel.scroller.clientHeight / 2 };
      const left = panel.scroller.scrollLeft + at.x, top = panel.scroller.scrollTop + at.y;
      panel.stage.style.width = `${fit * width * zoom}px`;
      panel.stage.style.aspectRatio = `${width} / ${height}`;
      const ratio = before ? panel.stage.clientWidth / before : 1;
      panel.scroller.scrollTo(left * ratio - at.x, top * ratio - at.y);
      drawBoxes(panel);
    }
    control("zoom").textContent = `${Math.round(100 * zoom)} %`;
    control("smaller").disabled = zoom <= 1;
    control("larger").disabled = zoom >= MAX_ZOOM;
  }

  function zoomBy(factor, center) {
    const kept = document.activeElement?.closest?.("svg") ? document.activeElement.dataset : null;
    const inside = panels.find((panel) => panel.svg.contains(document.activeElement));
    zoom = Math.min(MAX_ZOOM, Math.max(1, zoom * factor));
    layOut(center);
    const again = kept && inside?.svg.querySelector(`rect[data-place="${kept.place}"]`);
    if (!again) return;
    again.focus({ preventScroll: true });
    if (!center) again.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
  }

  for (const panel of panels) {
    const other = panels.find((one) => one !== panel);
    panel.scroller.addEventListener("scroll", () => other.scroller.scrollTo(panel.scroller.scrollLeft, panel.scroller.scrollTop));
    panel.scroller.addEventListener("wheel", (event) => {
      event.preventDefault();
      const area = panel.scroller.getBoundingClientRect();
      zoomBy(Math.exp(-event.deltaY / (event.deltaMode ? 12 : 400)), { x: event.clientX - area.left, y: event.clientY - area.top });
    }, { passive: false });
    panel.scroller.addEventListener("pointermove", (event) => { // fingers scroll by themselves
      if (event.pointerType === "mouse" && event.buttons === 1) panel.scroller.scrollBy(-event.movementX, -event.movementY);
    });
  }

  // ---- which image

  function draw() {
    const name = model.names[image()];
    control("viewer-name").textContent = order.length > 1 ? `${name} (${(opened + 1).toLocaleString("en")} of ${order.length.toLocaleString("en")})` : name;
    focused = { truth: 0, predictions: 0 };
    boxes = { truth: model.objects(image()), predictions: model.predictions(image()) };
    for (const panel of panels) {
      panel.title.textContent = panel.kind === "truth" ? "Ground truth" : `Predictions ${scoreText()}`;
      panel.picture.src = model.picture(image());
      panel.picture.hidden = !model.picture(image());
      panel.scroller.firstChild.textContent = shownText(model.fault(image()));
    }
    layOut();
    light(null);
  }

  function go(distance) {
    opened = (opened + distance + order.length) % order.length;
    zoom = 1;
    draw();
  }

  function toggle(kind) {
    shown[kind] = !shown[kind];
    control(`show-${kind}`).setAttribute("aria-pressed", String(shown[kind]));
    draw();
  }

  const KEYS = { ArrowLeft: () => go(-1), ArrowRight: () => go(1), ArrowDown: () => step(1), ArrowUp: () => step(-1), g: () => toggle("truth"),
    p: () => toggle("predictions"), "+": () => zoomBy(1.5), "=": () => zoomBy(1.5), "-": () => zoomBy(1 / 1.5), 0: () => zoomBy(1 / MAX_ZOOM) };
  dialog.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  control("previous").addEventListener("click", KEYS.ArrowLeft);
  control("next").addEventListener("click", KEYS.ArrowRight);
  control("show-truth").addEventListener("click", KEYS.g);
  control("show-predictions").addEventListener("click", KEYS.p);
  control("larger").addEventListener("click", KEYS["+"]);
  control("smaller").addEventListener("click", KEYS["-"]);
  control("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { // so that the same link opens the image again
    if (location.hash.startsWith("#image=")) history.replaceState(null, "", "#images");
  });
  window.addEventListener("resize", () => { if (dialog.open) layOut(); });

  return {
    open(images, place) {
      [order, opened, zoom] = [images, place, 1];
      if (!dialog.open) dialog.showModal();
      draw();
    },
  };
}
