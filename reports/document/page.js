"use strict";
// Everything here enhances a page that is whole without it: switches, sort, filter, samples,
// downloads. Links are followed here, too: in a notebook the page's address is the notebook's.

const all = (what, where = document) => [...where.querySelectorAll(what)];

async function unpacked(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function button(text, act, title) {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = text;
  if (title) made.setAttribute("aria-label", title);
  made.addEventListener("click", act);
  return made;
}

// What the page shows beyond its text: where it is, open chapters, reference, what is switched off.
const state = { at: "", open: [], reference: "", off: [] };
let printing = false;

function read() {
  let hash = "";
  try { hash = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const [at, ...parts] = hash.split(";");
  Object.assign(state, { at, open: [], reference: "", off: [] });
  for (const part of parts) {
    const [name, value] = [part.slice(0, part.indexOf("=")), part.slice(part.indexOf("=") + 1)];
    if (name === "reference") state.reference = value;
    if (name === "off") state.off = value.split(",");
    if (name === "open") state.open = value.split(",");
  }
}

function write() {
  const parts = [state.at];
  if (state.reference) parts.push("reference=" + state.reference);
  if (state.off.length) parts.push("off=" + state.off.join(","));
  const open = all("main > details[open]").map((one) => one.id).filter((id) => id !== state.at);
  if (open.length) parts.push("open=" + open.join(","));
  try { history.replaceState(null, "", "#" + encodeURI(parts.join(";"))); } catch { /* a notebook */ }
}

function show(id) {
  const target = document.getElementById(id);
  if (!target) return;
  for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  target.scrollIntoView();
  if (!target.hasAttribute("tabindex")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (!link) return;
  event.preventDefault();
  state.at = link.getAttribute("href").slice(1);
  write();
  show(state.at);
});
window.addEventListener("hashchange", () => { read(); apply(); show(state.at); });

// As digits and times_text of Python write them: the terminal shows the same numbers.
function digits(value, count = 3) {
  const options = { minimumSignificantDigits: count, maximumSignificantDigits: count };
  return Number(value.toPrecision(count)).toLocaleString("en", options);
}

const times = (ratio) => digits(ratio, ratio >= 100 ? 3 : 2);

function apply() {
  for (const id of state.open) document.getElementById(id)?.setAttribute("open", "");
  const select = document.getElementById("reference");
  if (select) {
    const options = [...select.options], named = options.findIndex((one) => one.value === state.reference);
    select.selectedIndex = named < 0 ? options.findIndex((one) => one.defaultSelected) : named;
    const column = select.selectedIndex + 1;
    for (const row of all("#matrix tbody tr:not(.group)")) {
      const base = Number(row.cells[column].dataset.seconds);
      for (const cell of all("td[data-seconds]", row))
        cell.querySelector(".ratio").textContent =
          base ? times(Number(cell.dataset.seconds) / base) : "";
    }
  }
  for (const input of all("#switches input")) {
    const off = state.off.includes(input.value), name = input.parentElement.classList[0];
    input.checked = !off;
    for (const one of all(":is(svg, table) ." + name))
      if (!one.closest("#switches")) one.toggleAttribute("hidden", off);
  }
}

// A cell that a spreadsheet would take for a formula becomes text.
function cell(value) {
  const formula = /^\s*[=+@\uff1d\uff0b\uff20]|^\s*[-\uff0d](?![\d.,]+( \S+)?$)|^[\t\r\n]/;
  const text = formula.test(value) ? "'" + value : value;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

const text = (td) => (td.querySelector(".read, button.sort, .plain") ?? td).textContent;

function csv(table) {
  const titles = all("thead th", table).map(text);
  const rows = [...table.tBodies[0].rows].filter((row) => !row.matches("[hidden], [data-filtered], [data-of]"));
  const lines = rows.map((row) => [...row.cells].map(text));
  return [titles, ...lines].map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
}

function duration(seconds) {
  for (const [unit, size] of [["s", 1], ["ms", 1e-3], ["us", 1e-6]])
    if (seconds >= size) return digits(seconds / size) + " " + unit;
  return digits(seconds / 1e-9) + " ns";
}

// The blocks of each process as dots on one axis of time, and their medians as strokes.
function drawing(processes) {
  const make = (name, attributes, text) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const blocks = processes.flatMap(([, repetitions]) => repetitions.flat()).map((ns) => ns / 1e9);
  const low = Math.min(...blocks), high = Math.max(...blocks), room = (high - low || low) * 0.04;
  const x = (seconds) => 90 + 560 * (seconds - low + room) / (high - low + 2 * room);
  const height = 22 * processes.length + 26;
  const svg = make("svg", { class: "samples", viewBox: `0 0 700 ${height}`, role: "img" });
  processes.forEach(([value, repetitions], number) => {
    const y = 16 + 22 * number;
    svg.append(make("text", { x: 0, y: y + 4 }, `process ${number + 1}`));
    const middle = (repetitions.length - 1) / 2;
    repetitions.forEach((times, index) => times.forEach((ns) => {
      const dot = make("circle", { cx: x(ns / 1e9), cy: y + 4 * (index - middle), r: 2.4 });
      dot.append(make("title", {}, duration(ns / 1e9)));
      svg.append(dot);
    }));
    if (value === null) return; // none of its blocks counts
    const place = x(value / 1e9);
    svg.append(make("line", { class: "value", x1: place, x2: place, y1: y - 9, y2: y + 9,
      "stroke-width": 2 }));
  });
  svg.append(make("text", { x: x(low), y: height - 4, "text-anchor": "middle" }, duration(low)));
  svg.append(make("text", { x: x(high), y: height - 4, "text-anchor": "middle" }, duration(high)));
  const words = document.createElement("p");
  words.className = "dim";
  words.textContent = `${blocks.length} blocks in ${processes.length} processes; the stroke is ` +
    "the value of the process: the longest of the least disturbed tenth of its repetitions.";
  return [svg, words];
}

let samples = null;
async function open(row) {
  const next = row.nextElementSibling, control = row.querySelector("button");
  control.textContent = next?.dataset.of ? "\u25b8" : "\u25be";
  control.setAttribute("aria-expanded", String(!next?.dataset.of));
  if (next?.dataset.of) return next.remove();
  samples ??= JSON.parse(await unpacked(document.getElementById("samples").textContent));
  const made = row.parentElement.insertRow(row.sectionRowIndex + 1);
  made.dataset.of = row.dataset.samples;
  const box = made.insertCell();
  box.colSpan = row.cells.length;
  box.append(...drawing(samples[row.dataset.samples]));
}

function sort(table, column, th) {
  const down = th.getAttribute("aria-sort") === "ascending", body = table.tBodies[0];
  for (const one of all("tr[data-of]", body)) one.remove();
  for (const one of all("thead th", table)) one.removeAttribute("aria-sort");
  th.setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => {
    const td = row.cells[column];
    return td.dataset.order === undefined ? text(td) : td.dataset.order === "" ? NaN : Number(td.dataset.order);
  };
  const order = (a, b) => {
    if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b));
    return isNaN(a) || isNaN(b) ? isNaN(a) - isNaN(b) : a - b;
  };
  const rows = [...body.rows].map((row) => [key(row), row]);
  rows.sort((a, b) => (down ? -1 : 1) * order(a[0], b[0]));
  body.append(...rows.map(([, row]) => row));
}

// Once its chapter is opened: a table gets its controls.
function equip(table) {
  if (table.dataset.ready || !table.id.startsWith("table-")) return;
  table.dataset.ready = "yes";
  const tools = document.createElement("div");
  tools.className = "tools";
  const body = table.tBodies[0];
  if (body.rows.length > 5) {
    const input = document.createElement("input");
    input.className = "filter";
    input.placeholder = "filter: words, e.g. jax 512";
    input.setAttribute("aria-label", "filter the table");
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/);
      for (const row of [...body.rows]) {
        if (row.dataset.of) { row.remove(); continue; }
        const own = row.textContent.toLowerCase();
        row.toggleAttribute("data-filtered", !words.every((word) => own.includes(word)));
      }
    });
    tools.append(input);
  }
  tools.append(button("CSV", () =>
    download(table.id.replace("table-", "") + ".csv", new Blob([csv(table)], { type: "text/csv" })),
    "CSV of what the table shows"));
  table.parentElement.before(tools);
  all("thead th", table).forEach((th, column) => {
    const control = button(th.textContent, () => sort(table, column, th));
    control.className = "sort";
    th.replaceChildren(control);
  });
  const rows = all("tr[data-samples]", body);
  for (const row of rows) {
    const first = row.cells[0], plain = document.createElement("span");
    plain.className = "plain";
    plain.append(...first.childNodes);
    const control = button("\u25b8", () => open(row), "samples of this row");
    control.setAttribute("aria-expanded", "false");
    control.tabIndex = row === rows[0] ? 0 : -1;
    first.append(control, plain);
    row.addEventListener("click", (event) => {
      if (!event.target.closest("button, a") && !String(getSelection())) open(row);
    });
  }
  body.addEventListener("keydown", (event) => { // one stop of the tab key; arrows go on from there
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const controls = all("tr[data-samples]:not([hidden], [data-filtered]) button", body);
    const next = controls[controls.indexOf(event.target) + step];
    if (!step || !next) return;
    event.preventDefault();
    next.focus();
  });
}

function equipAll(details) {
  for (const table of all("table", details)) equip(table);
}

// A drawing as a file of its own: in the colours that it has in the page.
function standalone(figure) {
  const svg = figure.querySelector(".picture svg").cloneNode(true), style = getComputedStyle(document.body);
  const [, , width, height] = (svg.getAttribute("viewBox") ?? "0 0 1 1").split(" ");
  for (const [key, value] of Object.entries({ width, height, color: style.color,
    "font-family": "sans-serif" })) svg.setAttribute(key, value);
  const back = svg.ownerDocument.createElementNS("http://www.w3.org/2000/svg", "rect");
  for (const [key, value] of Object.entries({ width: "100%", height: "100%", fill: "var(--back)" }))
    back.setAttribute(key, value);
  svg.prepend(back);
  const drawn = new XMLSerializer().serializeToString(svg);
  const root = getComputedStyle(document.documentElement);
  return { width: Number(width), height: Number(height),
    text: drawn.replace(/var\((--\w+)\)/g, (_, name) => root.getPropertyValue(name).trim()) };
}

function picture(figure) {
  const { text, width, height } = standalone(figure), image = new Image();
  return new Promise((done, failed) => {
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * width;
      canvas.height = 2 * height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("no picture"))), "image/png");
    };
    image.onerror = failed;
    image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  });
}

for (const figure of all("figure[id]")) {
  const tools = document.createElement("div");
  tools.className = "tools";
  const add = (title, content) => tools.append(button(title, async () =>
    download(`${figure.id}.${title.toLowerCase()}`, await content()), `${title} of this figure`));
  add("PNG", () => picture(figure));
  add("SVG", async () => new Blob([standalone(figure).text], { type: "image/svg+xml" }));
  add("CSV", async () => new Blob([await unpacked(figure.querySelector("script.csv").textContent)],
    { type: "text/csv" }));
  figure.append(tools);
}

for (const details of all("main > details")) {
  details.addEventListener("toggle", () => {
    if (details.open) equipAll(details);
    if (!printing) write();
  });
  if (details.open) equipAll(details);
}
window.addEventListener("afterprint", () => { printing = false; });
window.addEventListener("beforeprint", () => {
  printing = true;
  for (const details of all("details")) details.open = true;
});

const select = document.getElementById("reference"), switches = document.getElementById("switches");
if (select) {
  select.disabled = false;
  select.addEventListener("change", () => { state.reference = select.value; write(); apply(); });
}
if (switches) {
  switches.hidden = false;
  switches.addEventListener("change", () => {
    state.off = all("input:not(:checked)", switches).map((input) => input.value);
    write();
    apply();
  });
}
read();
apply();
if (state.at) show(state.at);
