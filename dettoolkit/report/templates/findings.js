"use strict";
// The texts are in the page; the script adds the pictures, when they come into sight, and enlarges them.
(() => {
  const data = JSON.parse(document.getElementById("findings-data").textContent);
  const root = document.getElementById("findings");
  const viewer = root.querySelector(".finding-viewer");
  if (!viewer) return;
  const buttons = [...root.querySelectorAll("[data-view]")];
  const TINY = 0.03; // of the picture's longer side: a ring shows where such a box is
  let opened = 0;

  function node(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  const canvas = (viewBox, kind, ...children) =>
    node("svg", { viewBox: viewBox.join(" "), class: kind, style: `--ratio:${viewBox[2] / viewBox[3]}` }, ...children);

  // twice: a dark line below makes the light one visible on any ground
  const outline = (name, shape) => [node(name, shape), node(name, { ...shape, class: "line" })];

  function mark([x, y, width, height], side) {
    if (Math.max(width, height) >= TINY * side) return outline("rect", { x, y, width, height });
    return outline("circle", { cx: x + width / 2, cy: y + height / 2, r: TINY * side });
  }

  function whole(view) {
    const { uri, width, height } = data.pictures[view.picture];
    const box = view.box || [0, 0, width, height];
    const left = Math.min(0, box[0]), top = Math.min(0, box[1]); // boxes may lie beyond the picture
    const right = Math.max(width, box[0] + box[2]), bottom = Math.max(height, box[1] + box[3]);
    return canvas([left, top, right - left, bottom - top], "whole",
      node("image", { href: uri, width, height, preserveAspectRatio: "none" }),
      ...(view.box ? mark(view.box, Math.max(width, height)) : []));
  }

  function crop(view) {
    const [x, y, width, height] = view.crop.region;
    const [left, top, boxWidth, boxHeight] = view.box;
    return canvas(view.crop.region, "crop",
      node("image", { href: view.crop.uri, x, y, width, height, preserveAspectRatio: "none" }),
      ...outline("rect", { x: left, y: top, width: Math.max(boxWidth, 0.5), height: Math.max(boxHeight, 0.5) }));
  }

  const drawn = (view) => view.crop ? [whole(view), crop(view)] : [whole(view)];
  const viewOf = (button) => data.views[Number(button.dataset.view)];

  function open(place) {
    opened = (place + buttons.length) % buttons.length;
    const caption = buttons[opened].closest("figure").querySelector("figcaption");
    viewer.querySelector("strong").textContent = `${opened + 1} of ${buttons.length}`;
    viewer.querySelector("p").textContent = [...caption.childNodes].map((part) => part.textContent.trim()).join(" · ");
    viewer.querySelector(".finding-panels").replaceChildren(...drawn(viewOf(buttons[opened])));
    if (!viewer.open) viewer.showModal();
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      target.replaceChildren(...drawn(viewOf(target)));
      seen.unobserve(target);
    }
  }, { rootMargin: "600px" });
  buttons.forEach((button, place) => {
    seen.observe(button);
    button.addEventListener("click", () => open(place));
  });
  for (const step of viewer.querySelectorAll("[data-step]")) {
    step.addEventListener("click", () => open(opened + Number(step.dataset.step)));
  }
  viewer.querySelector("[data-close]").addEventListener("click", () => viewer.close());
  viewer.addEventListener("close", () => buttons[opened].focus());
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") open(opened - 1);
    if (event.key === "ArrowRight") open(opened + 1);
  });
})();
