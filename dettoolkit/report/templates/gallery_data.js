// The gallery's data: columns of numbers, unpacked once, and what they count at a score. Names of report/gallery.py.

const WRONG_KINDS = 5; // the first kinds are wrong predictions: classification, localisation, both, duplicate, background
const LOCALISATION = 1, MISSED = 5, RIGHT = 6, IGNORED = 7;
const MISTAKEN = 8; // an object not found, where a prediction is wrong in class or place alone
const NUM_KINDS = 9;
const KIND_NAMES = ["classification", "localisation", "both", "duplicate", "background", "missed", "right", "ignored", "mistaken"];

function unpackBytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text).buffer;
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let place = 0; place < letters.length; place++) bytes[place] = letters.charCodeAt(place);
  return bytes.buffer;
}

// What no screen should interpret: controls, marks that turn the direction of text, halves of surrogate pairs.
const HARMFUL = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const shownText = (text) => text.replace(HARMFUL, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, "0")}`);

function unpackGallery(data) {
  const truth = {
    starts: new Uint32Array(unpackBytes(data.truth.starts)), boxes: new Int16Array(unpackBytes(data.truth.boxes)),
    labels: new Uint16Array(unpackBytes(data.truth.labels)), ignored: new Uint8Array(unpackBytes(data.truth.ignored)),
  };
  const found = {
    starts: new Uint32Array(unpackBytes(data.detections.starts)), boxes: new Int16Array(unpackBytes(data.detections.boxes)),
    labels: new Uint16Array(unpackBytes(data.detections.labels)), scores: new Uint16Array(unpackBytes(data.detections.scores)),
    kinds: new Uint8Array(unpackBytes(data.detections.kinds)), truths: new Int16Array(unpackBytes(data.detections.truths)),
    ious: new Uint8Array(unpackBytes(data.detections.ious)),
  };
  const length = data.names.length;
  const counts = new Uint32Array(length * NUM_KINDS);
  const truthKinds = new Uint8Array(truth.labels.length);
  let limits = data.thresholds;

  // Counts the boxes of one class (-1: of all) in every image, from scores of limits[label] half steps of 0.0001 on.
  function recount(newLimits, label) {
    limits = newLimits;
    counts.fill(0);
    for (let row = 0; row < truthKinds.length; row++) truthKinds[row] = truth.ignored[row] ? IGNORED : MISSED;
    for (let image = 0; image < length; image++) {
      const base = image * NUM_KINDS, first = truth.starts[image];
      for (let row = found.starts[image]; row < found.starts[image + 1]; row++) {
        if (found.scores[row] < limits[found.labels[row]]) continue;
        const kind = found.kinds[row], object = first + found.truths[row];
        if (kind === RIGHT) truthKinds[object] = RIGHT;
        else if (kind <= LOCALISATION && truthKinds[object] === MISSED) truthKinds[object] = MISTAKEN;
        if (label < 0 || found.labels[row] === label) counts[base + kind]++;
      }
      for (let row = first; row < truth.starts[image + 1]; row++) {
        const kind = truthKinds[row];
        if ((kind === MISSED || kind === MISTAKEN) && (label < 0 || truth.labels[row] === label)) counts[base + kind]++;
      }
    }
  }

  const count = (image, kind) => counts[image * NUM_KINDS + kind];
  function wrong(image) {
    let sum = 0;
    for (let kind = 0; kind < WRONG_KINDS; kind++) sum += count(image, kind);
    return sum;
  }

  const size = (image) => ({ height: data.sizes[2 * image], width: data.sizes[2 * image + 1] });
  function corners(boxes, row, image) {
    const scale = Math.max(data.sizes[2 * image], data.sizes[2 * image + 1]) / 16384;
    const left = boxes[4 * row], top = boxes[4 * row + 1], right = boxes[4 * row + 2], bottom = boxes[4 * row + 3];
    return { x: left * scale, y: top * scale, width: Math.max(0, right - left) * scale, height: Math.max(0, bottom - top) * scale };
  }

  function hasLabel(image, label) {
    for (let row = truth.starts[image]; row < truth.starts[image + 1]; row++) if (truth.labels[row] === label) return true;
    return counts.subarray(image * NUM_KINDS, (image + 1) * NUM_KINDS).some((number) => number > 0);
  }

  // The objects and the predictions of an image as they are drawn; partner: place of the object among the image's own, or -1.
  function objects(image) {
    const first = truth.starts[image];
    return Array.from({ length: truth.starts[image + 1] - first }, (_, place) => ({ ...corners(truth.boxes, first + place, image),
      place, label: truth.labels[first + place], kind: truthKinds[first + place], isObject: true, partner: place }));
  }
  function predictions(image) {
    const boxes = [];
    for (let row = found.starts[image]; row < found.starts[image + 1]; row++) {
      if (found.scores[row] < limits[found.labels[row]]) continue;
      boxes.push({ ...corners(found.boxes, row, image), place: row - found.starts[image], label: found.labels[row], kind: found.kinds[row],
        isObject: false, partner: found.truths[row], score: Math.floor(found.scores[row] / 2) / 10000, iou: found.ious[row] / 100 });
    }
    return boxes;
  }

  return {
    length, recount, count, wrong, size, hasLabel, objects, predictions,
    names: data.names.map(shownText),
    errors: (image) => wrong(image) + count(image, MISSED),
    notFound: (image) => count(image, MISSED) + count(image, MISTAKEN),
    loss: (image) => data.losses[image],
    picture: (image) => data.pictures[image] ? `data:image/jpeg;base64,${data.pictures[image]}` : "",
    fault: (image) => data.faults[image] ?? "",
    classNames: data.classNames.map(shownText), colors: data.colors, textColors: data.textColors,
    thresholds: data.thresholds, thresholdTexts: data.thresholdTexts, lowest: data.lowest / 10000, wish: data.wish,
    // A link may have a question mark for what cannot be encoded, which is half of a surrogate pair.
    indexOf: (name) => {
      const place = data.names.indexOf(name), plain = (text) => text.replace(HARMFUL, "?").replace(/\ufffd/g, "?");
      return place >= 0 ? place : data.names.findIndex((one) => plain(one) === plain(name));
    },
  };
}
