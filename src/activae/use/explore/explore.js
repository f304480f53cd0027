// The page: two inputs A and B, a share between their codes, and what each run makes of it.

const data = JSON.parse(document.querySelector("#data").textContent);
const size = data.shape.reduce((a, b) => a * b, 1);
const runs = data.runs.map(run => ({name: run.name, net: new Network(run), sampler: run.sampler && new Sampler(run.sampler), code: [], out: [], drawn: 0}));
const samples = unpacked(data.samples);
const state = {inputs: [blank(), blank()], active: 0, share: 0, run: 0, seed: 0, moved: false};
const $ = selector => document.querySelector(selector);

function at(values, i) { return Array.isArray(values) ? values[i] : values; }
function normalised(raw) { return raw.map((v, i) => (v - at(data.offset, i)) / at(data.scale, i)); }
function inRaw(x) { return x.map((v, i) => v * at(data.scale, i) + at(data.offset, i)); }
function inUnits(v, i) { return data.units ? v * data.units.scale[i] + data.units.offset[i] : v; }
function fromUnits(v, i) { return data.units ? (v - data.units.offset[i]) / data.units.scale[i] : v; }
function blank() { return new Float64Array(size).fill(data.image ? data.range[0] : 0); }
function lerp(a, b, t) { return a.map((v, i) => v + t * (b[i] - v)); }
function digits(v) { return Number(v).toPrecision(4); }

function unpacked(packed) {
  if (!packed) return [];
  const all = packed.bytes ? bytesOf(packed.text) : floats(packed.text), found = [];
  for (let i = 0; i < packed.count; i++) found.push(Float64Array.from(all.subarray(i * size, (i + 1) * size)));
  return found;
}

function made(tag, parent, text = "", properties = {}) {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  Object.assign(element, properties);
  parent.append(element);
  return element;
}

function colour(name) {
  const probe = made("i", document.body, "", {hidden: true});
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color.match(/[\d.]+/g).map(Number);
  probe.remove();
  return found;
}

// pixel(i): [red, green, blue] of place i
function paint(canvas, pixel) {
  const [, height, width] = data.shape, plane = height * width;
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height);
  for (let i = 0; i < plane; i++) image.data.set([...pixel(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
}

function show(canvas, raw) {
  const plane = data.shape[1] * data.shape[2], [low, high] = data.range, many = data.shape[0];
  const bright = i => 255 * (raw[i] - low) / (high - low);
  paint(canvas, i => [0, 1, 2].map(c => bright(many === 3 ? c * plane + i : i)));
}

// Too bright: blue; too dark: orange; none: the page's own colour.
function showError(canvas, error) {
  const plane = data.shape[1] * data.shape[2], none = colour("--paper");
  const [more, less] = [colour("--best"), colour("--worse")];
  const far = (data.range[1] - data.range[0]) / at(data.scale, 0) / 2;
  paint(canvas, i => {
    let all = 0;
    for (let c = 0; c < data.shape[0]; c++) all += error[c * plane + i] / data.shape[0];
    const share = Math.min(1, Math.abs(all) / far), to = all > 0 ? more : less;
    return none.slice(0, 3).map((v, k) => v + share * (to[k] - v));
  });
}

function current() { return Float64Array.from(lerp(state.inputs[0], state.inputs[1], state.share)); }

function compute() {
  const ends = state.inputs.map(normalised);
  for (const run of runs) {
    const [a, b] = state.share ? ends.map(x => run.net.encode(x)) : [run.net.encode(ends[0]), null];
    run.code = b ? lerp(a, b, state.share) : a;
    run.drawn = 0;
    decode(run);
  }
  state.moved = false;
  refresh();
}

function decode(run) {
  run.out = run.net.decode(run.code, sum(normalised(current())));
}

function refresh() {
  const x = normalised(current()), compared = runs.filter(run => !run.drawn);  // a new sample is like no input
  for (const run of runs) {
    run.error = run.out.map((v, i) => v - x[i]);
    run.se = sum(run.error.map(v => v * v));
    run.draw();
  }
  const best = Math.min(...compared.map(run => run.se));
  for (const run of runs) {
    const least = !run.drawn && compared.length > 1 && run.se === best;
    run.told.textContent = run.drawn ? `new sample ${run.drawn}` : `SE ${digits(run.se)}` + (least ? ", the least" : "");
    run.told.className = least ? "se least" : "se";
  }
  drawInputs();
  drawSeen();
  drawSliders();
  drawMap();
}

// --- input
let drawInputs = () => {};

function buildInput() {
  const host = $("#input");
  if (data.image) buildPads(host); else buildTable(host);
  if (samples.length) buildStrip(host);
  const row = made("div", host, "", {className: "row"});
  made("span", row, "A");
  const slider = made("input", row, "", {type: "range", min: 0, max: 1, step: 0.02, value: 0, className: "between"});
  slider.setAttribute("aria-label", "from A to B");
  slider.oninput = () => { state.share = Number(slider.value); compute(); };
  made("span", row, "B");
}

function set(raw) { state.inputs[state.active] = raw; compute(); }

function buildPads(host) {
  $("#hint").textContent = "Draw in A or B, choose a sample, or drop a picture. The slider goes from A's code to B's.";
  const pads = made("div", host, "", {className: "inputs"});
  const boxes = state.inputs.map((_, which) => {
    const box = made("figure", pads), canvas = made("canvas", box);
    canvas.setAttribute("aria-label", `input ${"AB"[which]}, to draw in`);
    made("figcaption", box, `Input ${"AB"[which]}`);
    let from = null;
    const place = event => {
      const room = canvas.getBoundingClientRect();
      return [(event.clientX - room.left) / room.width * data.shape[2], (event.clientY - room.top) / room.height * data.shape[1]];
    };
    canvas.onpointerdown = event => { state.active = which; from = place(event); canvas.setPointerCapture(event.pointerId); stroke(from, from); };
    canvas.onpointermove = event => { if (from) { const to = place(event); stroke(from, to); from = to; } };
    canvas.onpointerup = canvas.onpointercancel = () => { from = null; };
    box.ondragover = event => event.preventDefault();
    box.ondrop = event => { event.preventDefault(); state.active = which; readPicture(event.dataTransfer.files[0]); };
    return {box, canvas};
  });
  const row = made("div", host, "", {className: "row"});
  made("button", row, "Clear").onclick = () => set(blank());
  const file = made("input", row, "", {type: "file", accept: "image/*"});
  file.setAttribute("aria-label", "a picture as input");
  file.onchange = () => readPicture(file.files[0]);
  drawInputs = () => boxes.forEach(({box, canvas}, which) => {
    box.className = which === state.active ? "on" : "";
    show(canvas, state.inputs[which]);
  });
}

// A brush of about an eighth of the height, soft at its edge.
function stroke(from, to) {
  const [many, height, width] = data.shape, raw = state.inputs[state.active].slice(), [low, high] = data.range;
  const radius = Math.max(0.9, height / 20), steps = Math.ceil(4 * Math.hypot(to[0] - from[0], to[1] - from[1])) + 1;
  for (let s = 0; s <= steps; s++) {
    const [x, y] = lerp(from, to, s / steps);
    for (let row = 0; row < height; row++) for (let column = 0; column < width; column++) {
      const ink = Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(column + 0.5 - x, row + 0.5 - y)));
      for (let c = 0; c < many; c++) {
        const i = (c * height + row) * width + column;
        raw[i] = Math.max(raw[i], low + ink * (high - low));
      }
    }
  }
  set(raw);
}

function readPicture(file) {
  if (!file) return;
  const reader = new FileReader();
  reader.onload = () => {
    const image = new Image();
    image.onload = () => {
      const [many, height, width] = data.shape, canvas = document.createElement("canvas");
      Object.assign(canvas, {width, height});
      const context = canvas.getContext("2d");
      context.drawImage(image, 0, 0, width, height);
      const seen = context.getImageData(0, 0, width, height).data, raw = blank(), plane = width * height;
      const scaled = v => data.range[0] + v / 255 * (data.range[1] - data.range[0]);
      for (let i = 0; i < plane; i++) {
        const [r, g, b] = seen.subarray(4 * i, 4 * i + 3);
        if (many === 3) [r, g, b].forEach((v, c) => { raw[c * plane + i] = scaled(v); });
        else raw[i] = scaled(0.299 * r + 0.587 * g + 0.114 * b);
      }
      set(raw);
    };
    image.onerror = () => { $("#hint").textContent = `${file.name}: is no picture that this browser reads.`; };
    image.src = reader.result;
  };
  reader.readAsDataURL(file);
}

function buildTable(host) {
  $("#hint").textContent = "Choose a sample for A or B, or change a value in the table. The slider goes from A's code to B's.";
  const row = made("div", host, "", {className: "row"});
  const buttons = ["A", "B"].map((name, which) => made("button", row, `Input ${name}`, {onclick() { state.active = which; refresh(); }}));
  drawInputs = () => buttons.forEach((button, which) => button.setAttribute("aria-pressed", which === state.active));
}

function buildStrip(host) {
  const strip = made("div", host, "", {className: "strip"});
  samples.forEach((raw, i) => {
    const name = data.labels ? `sample ${i}: ${data.labels[i]}` : `sample ${i}`;
    const button = made("button", strip, data.image ? "" : String(i), {title: name, onclick: () => set(raw)});
    button.setAttribute("aria-label", name);
    if (data.image) show(made("canvas", button), raw);
  });
}

// --- reconstructions
function buildRuns() {
  const host = $("#runs");
  const rounded = runs.filter(run => run.net.scales), far = Math.max(...rounded.map(run => run.net.rounded));
  $("#said").textContent = "SE: squared error summed over normalised values. "
    + (data.image ? "Errors: blue where the output is too bright, orange where too dark." : "")
    + (rounded.length ? ` Weights of ${rounded.map(run => run.name).join(", ")} are rounded to 16 bits to keep the page small: codes and outputs move by ${far.toPrecision(1)} at most where it was tried.` : "");
  if (!data.image) { buildValues(host); return; }
  for (const run of runs) {
    const card = made("div", host, "", {className: "card"});
    made("h3", card, run.name);
    run.told = made("p", card);
    const pair = made("div", card, "", {className: "pair"});
    const [out, error] = ["output", "error"].map(name => {
      const figure = made("figure", pair), canvas = made("canvas", figure);
      canvas.setAttribute("aria-label", `${run.name}: ${name}`);
      made("figcaption", figure, name);
      return canvas;
    });
    run.draw = () => { show(out, inRaw(run.out)); showError(error, run.error); error.parentElement.style.visibility = run.drawn ? "hidden" : ""; };
  }
}

const MOST_ROWS = 200;

function buildValues(host) {
  host.className = "";
  const heads = made("div", host, "", {className: "row"});
  for (const run of runs) { made("b", heads, run.name); run.told = made("span", heads); run.draw = () => {}; }
  const box = made("div", host, "", {className: "scroll", tabIndex: 0}), table = made("table", box);
  const head = made("tr", made("thead", table));
  for (const name of ["feature", "input", ...runs.map(run => run.name)]) made("th", head, name);
  const body = made("tbody", table), rows = [];
  for (let i = 0; i < Math.min(size, MOST_ROWS); i++) {
    const row = made("tr", body);
    made("th", row, data.features ? data.features[i] : String(i));
    const input = made("input", made("td", row), "", {type: "number", step: "any"});
    input.setAttribute("aria-label", data.features ? data.features[i] : `value ${i}`);
    input.onchange = () => { const raw = state.inputs[state.active].slice(); raw[i] = fromUnits(Number(input.value), i); set(raw); };
    rows.push({input, cells: runs.map(() => made("td", row))});
  }
  if (size > MOST_ROWS) made("p", host, `The first ${MOST_ROWS} of ${size} features.`, {className: "note"});
  const draw = runs[0];
  draw.draw = () => {
    const outs = runs.map(run => inRaw(run.out));
    rows.forEach(({input, cells}, i) => {
      input.value = digits(inUnits(state.inputs[state.active][i], i));
      cells.forEach((cell, k) => { cell.textContent = digits(inUnits(outs[k][i], i)); });
    });
  };
}

// --- code
let drawSeen = () => {}, drawSliders = () => {}, drawMap = () => {};

function buildCode() {
  const host = $("#code"), row = made("div", host, "", {className: "row"});
  const choice = made("select", row);
  choice.setAttribute("aria-label", "whose code");
  runs.forEach((run, i) => made("option", choice, run.name, {value: i}));
  made("button", row, "Back to the input's code").onclick = compute;
  const draw = made("button", row, "New sample"), seen = made("span", row, "", {className: "note"});
  draw.onclick = () => {
    const run = runs[state.run];
    run.code = run.sampler.draw(++state.seed);
    run.drawn = state.seed;
    decode(run);
    refresh();
  };
  drawSeen = () => { const {drawn} = runs[state.run]; seen.textContent = drawn ? `sample ${drawn}` : ""; };
  const sliders = made("div", host), maps = made("div", host);
  const build = () => { state.run = Number(choice.value); draw.hidden = !runs[state.run].sampler; buildSliders(sliders); buildMap(maps); refresh(); };
  choice.onchange = build;
  build();
}

function codesOf(run) {
  run.codes ??= samples.map(raw => run.net.encode(normalised(raw)));
  return run.codes;
}

function extent(run, dim) {
  const known = [...codesOf(run), run.code].map(code => code[dim]);
  const low = Math.min(...known), high = Math.max(...known), room = 0.15 * (high - low) + (samples.length ? 0.01 : 3);
  return [low - room, high + room];
}

function buildSliders(host) {
  const run = runs[state.run];
  host.replaceChildren();
  const all = [...run.code].map((_, dim) => {
    const label = made("label", host, "", {className: "dim"});
    made("span", label, String(dim + 1));
    const [min, max] = extent(run, dim);
    const slider = made("input", label, "", {type: "range", min, max, step: "any"}), told = made("output", label);
    slider.oninput = () => { run.code[dim] = Number(slider.value); decode(run); refresh(); };
    return {slider, told};
  });
  drawSliders = () => all.forEach(({slider, told}, dim) => {
    const value = run.code[dim];
    slider.min = Math.min(slider.min, value);
    slider.max = Math.max(slider.max, value);
    slider.value = value;
    told.textContent = digits(value);
  });
}

const MAP = 420;

// Labels are written, not only coloured: colours alone do not tell ten classes apart.
function buildMap(host) {
  const run = runs[state.run];
  host.replaceChildren();
  drawMap = () => {};
  if (run.net.code !== 2) return;
  made("p", host, samples.length ? "The codes of the samples. Click anywhere to decode that place." : "Click anywhere to decode that place.", {className: "note"});
  const canvas = made("canvas", made("div", host, "", {className: "map"}), "", {width: 2 * MAP, height: 2 * MAP});
  canvas.setAttribute("aria-label", "map of the code");
  const [x, y] = [0, 1].map(dim => extent(run, dim)), classes = [...new Set(data.labels || [])].sort();
  const across = v => (v - x[0]) / (x[1] - x[0]) * MAP, down = v => (y[1] - v) / (y[1] - y[0]) * MAP;
  const go = event => {
    const room = canvas.getBoundingClientRect();
    run.code[0] = x[0] + (event.clientX - room.left) / room.width * (x[1] - x[0]);
    run.code[1] = y[1] - (event.clientY - room.top) / room.height * (y[1] - y[0]);
    decode(run);
    refresh();
  };
  canvas.onpointerdown = event => { canvas.setPointerCapture(event.pointerId); go(event); };
  canvas.onpointermove = event => { if (event.buttons) go(event); };
  drawMap = () => {
    const pen = canvas.getContext("2d");
    pen.setTransform(2, 0, 0, 2, 0, 0);
    pen.clearRect(0, 0, MAP, MAP);
    pen.font = "600 13px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    codesOf(run).forEach((code, i) => {
      const label = data.labels && data.labels[i];
      pen.fillStyle = `rgb(${colour(label ? `--c${classes.indexOf(label) % 7}` : "--best").slice(0, 3)})`;
      pen.fillText(label && label.length < 3 ? label : "●", across(code[0]), down(code[1]));
    });
    pen.strokeStyle = `rgb(${colour("--ink").slice(0, 3)})`;
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(across(run.code[0]), down(run.code[1]), 9, 0, 7);
    pen.stroke();
  };
}

if (samples.length) state.inputs = [samples[0], samples[samples.length > 1 ? 1 : 0]];
buildInput();
buildRuns();
compute();
buildCode();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
