// The page of the stream: a model made of messages, and a drawing of the model.
// Text from the stream is only ever set as textContent or drawn on a canvas.
"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const saved = $("messages"); // of a page that is a file
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const HISTORY = 120_000; // of the trace, in ms
const RING = 900; // life of a ring, in ms

// ---- the model

const model = { base: [], stations: new Map(), tick: null, trace: [], database: "", opened: 0 };
const boroughs = ["Manhattan", "Brooklyn", "Queens", "Bronx", "Staten Island"];
let paused = false, committed = 0;

function apply(m) {
  if (m.type === "stream") {
    if (m.version !== 1) { lost(`this page is older than the server that feeds it (version ${m.version}): reload it`); return; }
    Object.assign(model, { base: m.base, database: m.database, opened: m.opened, stations: new Map(m.stations.map((s) => [s.id, { ...s, rows: s.rows || 0, riders: s.riders || 0 }])) });
    note(m.tick);
    shape = null;
  } else if (m.type === "tick") {
    for (const s of m.stations || []) if (!model.stations.has(s.id)) model.stations.set(s.id, { ...s, rows: 0, riders: 0 });
    const group = { at: performance.now(), list: [] };
    (m.commits.ids || []).forEach((id, i) => {
      const s = model.stations.get(id);
      if (!s) return;
      s.rows += m.commits.rows[i];
      s.riders += m.commits.riders[i];
      committed += m.commits.rows[i];
      if (paused || document.hidden || calm.matches || !placed(s) || group.at - s.rung < RING) return;
      s.rung = group.at; // one ring at a time: more of them hide the neighbours
      group.list.push({ s, rows: m.commits.rows[i] });
    });
    if (group.list.length) rings.push(group);
    note(m);
  }
  paint();
}

// note keeps the newest tick, and a trace of the queue and the writer.
function note(t) {
  model.tick = t;
  const last = model.trace[model.trace.length - 1];
  const now = { at: t.at, messages: t.queue.messages, rate: t.writer.rate, alive: t.writer.alive };
  if (last && t.at - last.at < 400 && last.alive === now.alive) { last.messages = Math.max(last.messages, now.messages); return; }
  model.trace.push(now);
  while (model.trace.length && t.at - model.trace[0].at > HISTORY) model.trace.shift();
}

// ---- words and numbers

const count = (n) => Math.round(n).toLocaleString("en-US");
const rate = (n) => n === 0 ? "0" : n < 10 ? n.toFixed(1) : count(n);
const plural = (n, what) => `${count(n)} ${what}${n === 1 ? "" : "s"}`;
function bytes(n) {
  let unit = 0;
  while (n >= 1000 && unit < 4) { n /= 1024; unit++; }
  return `${n < 10 && unit ? n.toFixed(1) : Math.round(n)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}
function age(s) {
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  return s < 100 ? `${s.toFixed(1)} s` : s < 6000 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3600)} h`;
}
const hourOf = (h) => String(((h % 24) + 24) % 24).padStart(2, "0");
function hourText(h) {
  const day = new Date(h * 3_600_000).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  return `${hourOf(h)}:00–${hourOf(h + 1)}:00, ${day}`;
}
const shortName = (s) => (s.name || s.id).replace(/ \([^)]*\)$/, "");
const clockText = (ms) => new Date(ms).toLocaleTimeString("en-GB");

function element(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}
function setText(e, text) { if (e.textContent !== text) e.textContent = text; }
function dot(borough) {
  const e = element("i", "dot");
  e.style.background = colours[borough] || colours.elsewhere;
  return e;
}

// ---- the panels

function stage(id, big, small, tone) {
  const e = $(id);
  e.className = tone;
  setText(e.children[1], big);
  setText(e.children[2], small);
}

function panels() {
  const t = model.tick;
  if (!t) return;
  const q = t.queue, w = t.writer, d = t.database_state, p = t.proof;
  const running = t.producers.filter((x) => !x.ended);
  const first = running[0] || t.producers[0];
  const full = q.max_bytes > 0 && q.bytes > 0.9 * q.max_bytes;
  stage("producer", `${rate(q.rate)} rows/s`, !first ? "none is heard" :
    `${running.length > 1 ? `${running.length} producers\n` : ""}${first.source || first.name}, line ${count(first.line)}${first.ended ? ": done" : ""}\n${first.name}`,
    full ? "slow" : running.length ? "ok" : "");
  stage("queue", !q.broker ? "no answer" : plural(q.messages, "message"), !q.broker ? "the broker is gone or not reachable" :
    `${bytes(q.bytes)}${q.max_bytes > 0 ? ` of ${bytes(q.max_bytes)}` : ""}\n${q.messages ? `the oldest waits for ${age(q.oldest)}` : "empty"}`,
    !q.broker || full ? "bad" : q.messages && q.oldest > 5 ? "bad" : q.messages && q.oldest > 1 ? "slow" : "ok");
  const standby = t.standbys.length ? `\nstandby: ${t.standbys.join(", ")}` : "";
  stage("writer", w.alive ? `${rate(w.commits)} commits/s` : "no writer",
    (w.alive ? `${rate(w.rate)} rows/s, busy ${Math.round(w.busy * 100)} %\n${w.name}${w.silent ? `, silent for ${age(w.silent)}` : ""}` : w.name ? `${w.name} is gone` : "start one: consumer") + standby,
    !w.alive || w.silent ? "bad" : w.busy > 0.8 ? "slow" : "ok");
  stage("database", plural(d.rides, "row"), d.error || `${plural(d.rejects, "reject")}, ${bytes(d.bytes)}${d.reading ? "\nreading what is there" : ""}`, d.error ? "bad" : d.rides ? "ok" : "");

  setText($("acked"), count(p.acked));
  setText($("rides"), count(p.rides));
  setText($("rejected"), count(p.rejects));
  setText($("inflight"), count(p.in_flight));
  setText($("unannounced"), count(p.unannounced));
  setText($("already"), count(p.already));
  $("unannounced-box").hidden = !p.unannounced;
  $("already-box").hidden = !p.already;
  const verdict = p.missing ? ["bad", `${plural(p.in_flight, "row")} not accounted for: consumer verify FILE`] :
    p.in_flight > 0 ? ["wait", `${plural(p.in_flight, "row")} on the way`] : p.acked + p.rides + p.rejects === 0 ? ["", "waiting for rows"] : ["ok", "✓ the two counts agree"];
  $("verdict").className = verdict[0];
  setText($("verdict"), verdict[1]);

  const dead = !w.alive && w.since > 0;
  $("nowriter").hidden = !dead || !w.name;
  if (dead) setText($("nowriter"), `No writer for ${age((t.at - w.since) / 1000)}. Rows stay in the queue: ${plural(q.messages, "message")} wait.`);

  const newest = t.hours.length ? t.hours[t.hours.length - 1].hour : null;
  const hour = t.latest.length ? t.latest[t.latest.length - 1].hour : newest;
  setText($("clock"), hour === null ? "no rows yet" : hourText(hour));
  $("empty").hidden = model.stations.size > 0;

  $("hours").className = t.hours.length > 12 ? "many" : "";
  const most = Math.max(1, ...t.hours.map((h) => h.riders));
  rows("hours", t.hours, (h) => {
    const li = element("li", h.hour === hour ? "now" : "");
    li.title = `${hourText(h.hour)}: ${plural(h.riders, "rider")}`;
    li.setAttribute("aria-label", li.title);
    const bar = element("i");
    bar.style.height = `${Math.max(1, 72 * h.riders / most)}px`;
    li.append(...(t.hours.length < 10 ? [count(h.riders)] : []), bar, element("span", "", hourOf(h.hour)));
    return li;
  });
  rows("busiest", ranked().slice(0, 8), (s) => {
    const li = element("li");
    li.append(dot(s.borough), element("span", "name", s.name || s.id), element("span", "dim", plural(s.rows, "row")), element("b", "n", `${count(s.riders)} riders`));
    return li;
  });
  rows("latest", t.latest.slice().reverse(), (r) => {
    const s = model.stations.get(r.station) || { id: r.station, name: r.station };
    const li = element("li"), b = element("button");
    b.type = "button";
    b.title = `follow ${r.source}, line ${r.line}`;
    b.append(dot(s.borough), element("span", "dim", `${r.source}:${r.line}`), element("span", "name", shortName(s)), element("span", "n", plural(r.riders, "rider")));
    b.disabled = !!saved;
    b.onclick = () => follow(r.source, r.line);
    li.append(b);
    return li;
  }, "none yet");
  rows("rejects", t.rejects, (r) => {
    const li = element("li");
    li.append(element("span", "dim", `${r.source}:${r.line}`), element("span", "why", r.reason));
    return li;
  }, "none");
  const nowhere = ranked().filter((s) => !placed(s));
  $("nowhere-box").hidden = !nowhere.length;
  rows("nowhere", nowhere.slice(0, 8), (s) => {
    const li = element("li");
    li.append(element("span", "name", s.name || s.id), element("b", "n", `${count(s.riders)} riders`));
    return li;
  });
  rows("marks", t.marks.slice(-4).reverse(), (m) => element("li", m.kind, `${clockText(m.at)}  ${m.text}`));
  if ($("stations").open) table();
  setText($("footer"), `${model.database}, since ${clockText(model.opened)}. ${t.unplaced ? `${plural(t.unplaced, "row")} of further stations are not shown. ` : ""}Stored messages leave the queue a few times a second, so it can hold more than is in flight. The page reads and changes nothing.`);
}

// rows fills a list, if what it shows has changed.
function rows(id, items, make, none) {
  const key = JSON.stringify(items);
  const list = $(id);
  if (list.key === key) return;
  list.key = key;
  const focused = list.contains(document.activeElement) ? [...list.querySelectorAll("button")].indexOf(document.activeElement) : -1;
  list.replaceChildren(...(items.length || !none ? items.map(make) : [element("li", "dim", none)]));
  if (focused >= 0) list.querySelectorAll("button")[focused]?.focus();
}

const ranked = () => [...model.stations.values()].sort((a, b) => b.riders - a.riders || (a.id < b.id ? -1 : 1));

function table() {
  $("stations").querySelector("tbody").replaceChildren(...ranked().map((s) => {
    const tr = element("tr");
    tr.append(element("td", "", s.name || s.id), element("td", "", s.borough), element("td", "", count(s.rows)), element("td", "", count(s.riders)));
    return tr;
  }));
}
$("stations").addEventListener("toggle", () => model.tick && table());

// ---- follow one row

let followed = null;
async function follow(source, line) {
  $("follow").elements.source.value = source;
  $("follow").elements.line.value = line;
  clearTimeout(followed?.timer);
  const f = followed = { source, line, timer: 0 };
  try {
    const answer = await fetch(`row?source=${encodeURIComponent(source)}&line=${encodeURIComponent(line)}`);
    if (f !== followed) return;
    showFollowed(answer.ok ? await answer.json() : null, answer.ok ? "" : await answer.text());
  } catch (e) {
    if (f === followed) showFollowed(null, "the server of this page does not answer");
  }
  if (f === followed) f.timer = setTimeout(() => follow(source, line), 1000);
}
function showFollowed(r, error) {
  if (!r) { rows("followed", [error], (x) => element("li", "bad", x)); return; }
  const ago = (t) => `${age(Math.max(0, r.now - t) / 1000)} ago`;
  const done = r.found || r.rejects.length > 0;
  const steps = [
    ["read", r.read, r.read || r.queued || done], ["queued", r.queued, r.queued || done],
    [r.rejects.length && !r.found ? "rejected" : "stored", r.stored, done],
  ].map(([what, at, is]) => [is, at ? `${what} ${ago(at)}` : is ? `${what} before this page looked` : `not ${what} yet`]);
  if (r.found) steps.push([true, `${r.name || r.station}, ${hourText(r.hour)}, ${plural(r.riders, "rider")}`]);
  for (const reason of r.rejects) steps.push([false, `rejected: ${reason}`, "bad"]);
  rows("followed", steps, ([is, text, tone]) => element("li", tone || (is ? "done" : ""), text));
}
$("follow").addEventListener("submit", (e) => {
  e.preventDefault();
  const f = e.target.elements;
  follow(f.source.value, Number(f.line.value));
});

// ---- the map

const map = $("map"), colours = {};
let rings = [], shape = null, chosen = null;
function readColours() {
  const css = getComputedStyle(document.documentElement);
  for (const b of boroughs) colours[b] = css.getPropertyValue(`--${b.toLowerCase().replace(" ", "-")}`).trim();
  for (const n of ["elsewhere", "fg", "bg", "muted", "line", "card", "red", "blue", "green"]) colours[n] = css.getPropertyValue(`--${n}`).trim();
  $("legend").replaceChildren(...boroughs.map((b) => {
    const li = element("li"), i = element("i");
    i.style.background = colours[b];
    li.append(i, b);
    return li;
  }));
  shape = null;
}

// The part of the Earth that the map shows; a station elsewhere is in a list.
const west = -74.095, east = -73.735, south = 40.562, north = 40.915;
const placed = (s) => s.lat !== null && s.lon !== null && s.lon > west && s.lon < east && s.lat > south && s.lat < north;

// place returns where a station is on the canvas, in CSS pixels.
function place(s) {
  const k = Math.cos(40.73 * Math.PI / 180);
  const scale = Math.min(view.w / ((east - west) * k), view.h / (north - south));
  return [view.w / 2 + (s.lon - (west + east) / 2) * k * scale, view.h / 2 - (s.lat - (south + north) / 2) * scale];
}
const view = { w: 0, h: 0 };
function fit(canvas) {
  const r = canvas.getBoundingClientRect(), dpr = devicePixelRatio || 1;
  const w = Math.round(r.width * dpr), h = Math.round(r.height * dpr);
  const resized = canvas.width !== w || canvas.height !== h;
  if (resized) { canvas.width = w; canvas.height = h; }
  const c = canvas.getContext("2d");
  c.setTransform(dpr, 0, 0, dpr, 0, 0);
  return { c, w: r.width, h: r.height, resized };
}

// baseShape draws the faint map once: each borough's land is what lies about its
// stations, and between neighbours.
function baseShape() {
  const dpr = devicePixelRatio || 1, unit = Math.min(view.w, view.h) / 100;
  const canvas = document.createElement("canvas");
  canvas.width = map.width; canvas.height = map.height;
  const out = canvas.getContext("2d");
  for (const b of boroughs) {
    const land = document.createElement("canvas");
    land.width = map.width; land.height = map.height;
    const c = land.getContext("2d");
    c.scale(dpr, dpr);
    c.strokeStyle = c.fillStyle = colours[b];
    c.lineCap = "round";
    c.lineWidth = unit * 3.6;
    const at = model.base.filter((s) => s.borough === b && placed(s)).map(place);
    at.forEach(([x, y], i) => {
      c.beginPath(); c.arc(x, y, unit * 2.1, 0, 7); c.fill();
      for (const [u, v] of at.slice(i + 1)) {
        if (Math.hypot(x - u, y - v) > unit * 6.5) continue;
        c.beginPath(); c.moveTo(x, y); c.lineTo(u, v); c.stroke();
      }
    });
    out.globalAlpha = 0.11;
    out.drawImage(land, 0, 0);
    out.globalAlpha = 0.5;
    out.save(); out.scale(dpr, dpr);
    out.fillStyle = colours[b];
    for (const [x, y] of at) { out.beginPath(); out.arc(x, y, 1.3, 0, 7); out.fill(); }
    out.restore();
  }
  return canvas;
}

// radius of a circle: its area is the share of the busiest station's riders.
function radius(s, most) { return s.riders > 0 ? Math.max(2.2, Math.sqrt(s.riders / most) * Math.min(view.w, view.h) * 0.027) : 2; }

function drawMap(now) {
  const { c, w, h, resized } = fit(map);
  if (resized || view.w !== w || view.h !== h) { view.w = w; view.h = h; shape = null; }
  if (!shape) shape = baseShape();
  c.clearRect(0, 0, w, h);
  c.drawImage(shape, 0, 0, w, h);
  const list = ranked().filter(placed);
  const most = list.length ? Math.max(1, list[0].riders) : 1;
  for (const s of list) {
    const [x, y] = place(s);
    c.beginPath(); c.arc(x, y, radius(s, most), 0, 7);
    c.fillStyle = colours[s.borough] || colours.elsewhere;
    c.globalAlpha = 0.72; c.fill();
    c.globalAlpha = 1; c.strokeStyle = colours.card; c.lineWidth = 1; c.stroke(); // tells neighbours apart
  }
  rings = rings.filter((g) => now - g.at < RING);
  for (const g of rings) { // the rings of one moment and colour are one path
    const p = Math.max(0, (now - g.at) / RING), ease = 1 - (1 - p) ** 3;
    c.globalAlpha = (1 - p) * 0.9;
    c.lineWidth = 1.6 - 0.8 * p;
    for (const [colour, list] of Object.entries(Object.groupBy(g.list, (r) => colours[r.s.borough] || colours.elsewhere))) {
      c.strokeStyle = colour;
      c.beginPath();
      for (const { s, rows } of list) {
        const [x, y] = place(s), r = radius(s, most) + Math.min(11, 3 + 2 * Math.sqrt(rows)) * ease;
        c.moveTo(x + r, y); c.arc(x, y, r, 0, 7);
      }
      c.stroke();
    }
  }
  c.globalAlpha = 1;
  Object.assign(map.dataset, { circles: list.length, rings: rings.reduce((n, g) => n + g.list.length, 0) });
  labels(c, list, most);
  if (chosen && placed(chosen)) {
    const [x, y] = place(chosen);
    c.strokeStyle = colours.fg; c.lineWidth = 2;
    c.beginPath(); c.arc(x, y, radius(chosen, most) + 3, 0, 7); c.stroke();
  }
}

// labels names the busiest stations, where there is room.
function labels(c, list, most) {
  c.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  c.lineWidth = 3; c.lineJoin = "round"; c.strokeStyle = colours.card; c.fillStyle = colours.fg;
  const taken = [];
  for (const s of list.slice(0, 12)) {
    let text = shortName(s);
    if (text.length > 24) text = text.slice(0, 23) + "…";
    const [x, y] = place(s), r = radius(s, most) + 4, width = c.measureText(text).width;
    for (const left of [x + r, x - r - width]) {
      const box = [left, y - 8, left + width, y + 8];
      if (box[0] < 2 || box[2] > view.w - 2 || taken.some((t) => box[0] < t[2] && t[0] < box[2] && box[1] < t[3] && t[1] < box[3])) continue;
      taken.push(box);
      c.strokeText(text, left, y + 4);
      c.fillText(text, left, y + 4);
      break;
    }
    if (taken.length >= 6) break;
  }
}

function choose(s) {
  chosen = s;
  const tip = $("tip");
  tip.hidden = !s;
  if (!s) return;
  const [x, y] = place(s), has = model.stations.get(s.id);
  setText(tip, `${s.name || s.id}\n${s.borough || ""}\n${has ? `${plural(has.riders, "rider")} in ${plural(has.rows, "row")}` : "no rows yet"}`);
  tip.style.left = `${Math.max(4, Math.min(x + 14, view.w - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(4, Math.min(y + 14, view.h - tip.offsetHeight - 4))}px`;
  paint();
}
map.addEventListener("pointermove", (e) => {
  const r = map.getBoundingClientRect(), x = e.clientX - r.left, y = e.clientY - r.top;
  let best = null, least = 18;
  for (const s of [...model.base, ...model.stations.values()]) {
    if (!placed(s)) continue;
    const [u, v] = place(s), far = Math.hypot(u - x, v - y);
    if (far <= least) { best = s; least = far; }
  }
  if (best?.id !== chosen?.id) choose(best);
});
map.addEventListener("pointerleave", () => choose(null));
map.addEventListener("blur", () => choose(null));
map.addEventListener("keydown", (e) => {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[e.key];
  if (e.key === "Escape") choose(null);
  const list = ranked().filter(placed);
  if (!step || !list.length) return;
  e.preventDefault();
  const i = chosen ? list.findIndex((s) => s.id === chosen.id) : -1;
  choose(list[(i + step + list.length) % list.length]);
});

// ---- the last two minutes: the queue, and times without a writer

function drawTrace() {
  const { c, w, h } = fit($("trace"));
  c.clearRect(0, 0, w, h);
  const end = model.tick.at, x = (at) => w - (end - at) / HISTORY * w;
  const most = Math.max(10, ...model.trace.map((p) => p.messages)), top = 14;
  c.fillStyle = colours.red; c.globalAlpha = 0.25;
  let since = null; // no writer
  for (const p of [...model.trace, { at: end, alive: true }]) {
    if (!p.alive) since ??= p.at;
    else if (since !== null) { c.fillRect(x(since), 0, Math.max(1, x(p.at) - x(since)), h); since = null; }
  }
  c.globalAlpha = 0.45; c.fillStyle = colours.blue;
  c.beginPath(); c.moveTo(x(model.trace[0]?.at ?? end), h);
  for (const p of model.trace) c.lineTo(x(p.at), h - p.messages / most * (h - top));
  c.lineTo(w, h - model.tick.queue.messages / most * (h - top));
  c.lineTo(w, h); c.fill();
  c.globalAlpha = 1; c.fillStyle = colours.fg; c.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  c.fillText(`messages in the queue, at most ${count(Math.max(0, ...model.trace.map((p) => p.messages)))}`, 2, 10);
  for (const m of model.tick.marks) {
    if (end - m.at > HISTORY || m.kind === "down") continue;
    c.fillRect(x(m.at) - 1, 0, 2, h);
    c.fillText(m.kind === "takeover" ? "takeover" : "writes again", Math.min(x(m.at) + 4, w - 62), 24);
  }
}

// ---- the clockwork

let asked = false;
function paint() {
  if (asked || paused || document.hidden) return;
  asked = true;
  requestAnimationFrame((now) => {
    asked = false;
    if (paused) return;
    panels();
    drawMap(now);
    if (model.tick) {
      drawTrace();
      map.setAttribute("aria-label", `Map of New York: ${plural([...model.stations.values()].filter(placed).length, "station")} with rows, as circles by riders. All stations are in the table below.`);
    }
    if (rings.length) paint();
  });
}
$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  const before = committed;
  clearInterval(pausedTimer);
  if (paused) {
    rings = [];
    pausedTimer = setInterval(() => setText($("pause"), `Continue (${plural(committed - before, "row")} since)`), 500);
  }
  setText($("pause"), paused ? "Continue" : "Pause");
  paint();
});
let pausedTimer = 0;
function lost(text) { const e = $("lost"); e.hidden = !text; if (text) setText(e, text); }

readColours();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); paint(); });
addEventListener("resize", paint);
document.addEventListener("visibilitychange", () => { rings = []; paint(); });

if (saved) {
  for (const id of ["pause", "follower", "save"]) $(id).hidden = true;
  JSON.parse(saved.textContent).forEach(apply);
  setText($("wallname"), "saved at");
  setText($("wall"), new Date(model.tick.at).toLocaleString("en-GB"));
} else {
  const wall = () => setText($("wall"), clockText(Date.now()));
  setInterval(wall, 1000);
  wall();
  const events = new EventSource("events");
  const gone = $("lost").textContent;
  events.onmessage = (e) => { lost(""); apply(JSON.parse(e.data)); };
  events.onerror = () => lost(gone);
}
paint();
})();
