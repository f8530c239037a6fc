"use strict"
// The page of the lab: a function of the messages of messages.go. A saved page
// has them in it; to a live one, live.js brings them.
//
// A recording is drawn as lanes, one for each process, on a time scale that all
// recordings share. Many events can fall into one pixel column: then it shows the
// worst of them.

const $ = id => document.getElementById(id)

// States of a pixel column, the worst last, and what they are called.
const STATES = ["", "works", "holds", "blocks", "queue", "lock"]
const LEGEND = [
  ["green", "holds the lock"], ["amber", "holds the lock while others wait"], ["red", "waits for SQLite's lock"],
  ["blue", "waits for the queue, its turn or its commit"], ["grey", "works"],
]
const TONES = { works: "grey", holds: "green", blocks: "amber", queue: "blue", lock: "red" }
const LANE = 22, BAR = 14, AXIS = 18, CHART = 46

let recordings = new Map() // by number
let windowSeconds = 0 // 0: everything
let drawn = 0, drawCost = 0, pending = false

// decode turns the columns of a lane into times in microseconds; -1 is never.
function decode(events) {
  const n = events.ready.length, out = []
  let last = 0, next = 0
  const unfinished = new Set(events.unfinished)
  for (let i = 0; i < n; i++) {
    last += events.ready[i]
    const e = { ready: last, first: events.first ? events.first[i] : next, rows: events.rows ? events.rows[i] : 1,
      task: events.task ? events.task[i] : 0, code: events.code ? events.code[i] : 0, lock: events.lock ? events.lock[i] : "",
      unfinished: unfinished.has(i) }
    for (const column of ["wants", "begun", "released", "end"]) {
      const d = events[column][i]
      e[column] = d < 0 ? -1 : (last += d)
    }
    next = e.first + e.rows
    out.push(e)
  }
  return out
}

// addRecording takes a whole recording or a part of one.
function addRecording(m) {
  let r = recordings.get(m.number)
  if (!r || !m.part) {
    r = { number: m.number, source: m.recording.source, title: m.recording.title, zero: Date.parse(m.recording.zero), lanes: new Map(), notes: [], series: new Map(), view: r && r.view }
    recordings.set(m.number, r)
  }
  for (const lane of m.recording.lanes) {
    const key = lane.process + "\n" + (lane.command || "")
    let l = r.lanes.get(key)
    if (!l) r.lanes.set(key, l = { process: lane.process, command: lane.command || "", waits: lane.waits_for, events: [] })
    const events = decode(lane.events)
    if (events.length && l.events.length && l.events.at(-1).unfinished) l.events.pop()
    for (const e of events) l.events.push(e)
  }
  for (const n of m.recording.notes) r.notes.push(n)
  for (const s of m.recording.series) {
    let to = r.series.get(s.name)
    if (!to) r.series.set(s.name, to = { at: [], values: [] })
    let at = 0
    s.at.forEach((d, i) => { to.at.push(at += d); to.values.push(s.values[i]) })
  }
  r.dropped = m.recording.dropped
  r.dirty = true
  draw()
}

// spans calls f(state, from, to) for what an event was, after one that ended at last.
function spans(e, last, waits, f) {
  if (e.wants < 0) f("works", Math.max(e.ready, last), e.end)
  else if (e.task > 0 && e.wants - e.ready >= e.task) f("works", Math.max(e.ready, last), e.wants)
  if (e.wants >= 0) f(waits === "lock" || !waits ? "lock" : "queue", e.wants, e.begun < 0 ? e.end : e.begun)
  if (e.begun >= 0) f("holds", e.begun, e.released < 0 ? e.end : e.released)
}

const endOf = r => {
  let end = 0
  for (const l of r.lanes.values()) if (l.events.length) end = Math.max(end, l.events.at(-1).end)
  for (const s of r.series.values()) if (s.at.length) end = Math.max(end, s.at.at(-1))
  return end
}

// view makes the elements of a recording, once.
function view(r) {
  if (r.view) return r.view
  const section = document.createElement("section")
  const v = r.view = { section }
  for (const [name, tag] of [["title", "h2"], ["canvas", "canvas"], ["note", "p"], ["details", "details"]]) {
    section.append(v[name] = document.createElement(tag))
  }
  v.canvas.setAttribute("role", "img")
  v.note.className = "note"
  const summary = document.createElement("summary")
  summary.textContent = "The same as a table"
  v.table = document.createElement("table")
  v.details.append(summary, v.table)
  // In the order of the numbers.
  const after = [...recordings.values()].filter(o => o.number > r.number && o.view).sort((a, b) => a.number - b.number)[0]
  $("recordings").insertBefore(section, after ? after.view.section : null)
  return v
}

// draw draws soon, and seldom enough that drawing is a tenth of the time.
function draw() {
  if (pending) return
  pending = true
  setTimeout(() => requestAnimationFrame(() => {
    pending = false
    const start = performance.now()
    drawAll()
    drawCost = performance.now() - start
    drawn = performance.now()
  }), Math.max(0, drawn + 10 * drawCost - performance.now()))
}

function drawAll() {
  const all = [...recordings.values()].sort((a, b) => a.number - b.number)
  let to = 1
  for (const r of all) to = Math.max(to, endOf(r))
  const from = windowSeconds && all.length === 1 ? Math.max(0, to - windowSeconds * 1e6) : 0
  $("legend").hidden = all.length === 0
  for (const r of all) {
    view(r)
    const key = [from, to, r.view.canvas.clientWidth, scheme.matches].join()
    if (!r.dirty && r.key === key) continue
    r.key = key
    drawRecording(r, from, to)
    if (r.dirty) describe(r)
    r.dirty = false
  }
}

function drawRecording(r, from, to) {
  const { canvas, title } = r.view
  title.textContent = r.title
  const lanes = [...r.lanes.values()], charts = [...r.series]
  const width = Math.max(200, canvas.clientWidth), height = AXIS + lanes.length * LANE + charts.length * CHART + 6
  const scale = devicePixelRatio || 1
  canvas.width = width * scale
  canvas.height = height * scale
  canvas.style.height = height + "px"
  const c = canvas.getContext("2d")
  c.scale(scale, scale)
  const style = getComputedStyle(document.documentElement), colour = name => style.getPropertyValue("--" + name)
  c.font = "12px system-ui, sans-serif"
  const left = Math.min(width * .3, 12 + Math.max(30, ...lanes.map(l => c.measureText(laneName(l)).width)))
  const columns = Math.max(1, Math.floor(width - left - 8))
  const x = at => Math.floor((at - from) / (to - from) * columns)

  // The axis.
  c.fillStyle = colour("muted")
  c.strokeStyle = colour("line")
  const step = niceStep((to - from) / Math.max(2, columns / 110))
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const px = left + x(at) + .5
    c.beginPath(); c.moveTo(px, AXIS - 4); c.lineTo(px, height); c.stroke()
    const text = r.source === "watch" ? clock(r.zero + at / 1000) : time(at)
    if (px + c.measureText(text).width < width) c.fillText(text, px + 2, 12)
  }

  // The worst state of each column of each lane. A holder blocks where another lane waits.
  const states = lanes.map(l => columnsOf(l, from, to, columns, x))
  const waiting = new Uint8Array(columns + 1)
  for (const s of states) for (let i = 0; i <= columns; i++) waiting[i] += s[i] === 5
  const tones = STATES.map(s => s && colour(TONES[s]))
  lanes.forEach((l, k) => {
    const y = AXIS + k * LANE + (LANE - BAR) / 2, s = states[k]
    c.fillStyle = colour("fg")
    c.fillText(laneName(l), 6, y + 11, left - 10)
    for (let i = 0; i <= columns;) {
      const state = s[i] === 2 && waiting[i] ? 3 : s[i]
      let end = i + 1
      while (end <= columns && (s[end] === 2 && waiting[end] ? 3 : s[end]) === state) end++
      if (state) { c.fillStyle = tones[state]; c.fillRect(left + i, y, end - i, BAR) }
      i = end
    }
    marks(c, l, from, to, left, x, y, colour)
  })
  charts.forEach(([name, s], k) => chart(c, name, s, from, to, left, x, AXIS + lanes.length * LANE + k * CHART, width, colour))
}

function columnsOf(lane, from, to, columns, x) {
  const s = new Uint8Array(columns + 1)
  let last = 0
  for (const e of lane.events) {
    if (e.end >= from && e.ready <= to) {
      spans(e, last, lane.waits, (state, a, b) => {
        if (b <= a && state !== "holds" || b < from || a > to) return
        const worth = STATES.indexOf(state)
        for (let i = Math.max(0, x(a)), end = Math.min(columns, x(b)); i <= end; i++) if (worth > s[i]) s[i] = worth
      })
    }
    last = e.end
  }
  return s
}

// marks draws the errors, and hatches what was not finished.
function marks(c, lane, from, to, left, x, y, colour) {
  let busy = -9
  for (const e of lane.events) {
    if (e.end < from || e.end > to) continue
    const px = left + x(e.end)
    if (e.unfinished) {
      const start = left + Math.max(0, x(Math.max(e.ready, from)))
      c.strokeStyle = colour("card")
      for (let i = start - start % 6; i < px; i += 6) { c.beginPath(); c.moveTo(Math.max(i, start), y + BAR); c.lineTo(i + 6, y); c.stroke() }
    }
    if (e.code && px - busy >= 8) {
      busy = px
      c.fillStyle = colour("fg")
      c.fillText("✗", px - 4, y + 11)
    }
  }
}

// chart draws a series as steps.
function chart(c, name, s, from, to, left, x, top, width, colour) {
  const most = Math.max(1, ...s.values.slice(-2000)), y = v => top + CHART - 4 - v / most * (CHART - 18)
  c.fillStyle = colour("muted")
  c.fillText(name.replaceAll("_", " ") + ", up to " + (name.endsWith("bytes") ? bytes(most) : most), 6, top + 11)
  c.strokeStyle = colour(name.includes("pinned") ? "amber" : "blue")
  c.beginPath()
  s.at.forEach((at, i) => {
    const start = left + x(Math.max(from, at)), end = left + x(Math.min(to, s.at[i + 1] ?? to))
    if ((s.at[i + 1] ?? to) < from) return
    c.lineTo(start, y(s.values[i])); c.lineTo(end, y(s.values[i]))
  })
  c.stroke()
}

// describe writes what the picture shows as a table and in words.
function describe(r) {
  const watch = r.source === "watch", { canvas, table, note } = r.view
  const head = watch ? ["process", "locks", "held", "longest hold"] : ["process", "rows", "SQLITE_BUSY", "held the lock", "waited", "longest wait"]
  const rows = [...r.lanes.values()].map(l => {
    let done = 0, busy = 0, held = 0, waited = 0, longest = 0, longestHold = 0, holds = 0
    for (const e of l.events) {
      if (!e.code && !e.unfinished) done += e.rows
      if ((e.code & 255) === 5) busy++
      const h = e.begun < 0 ? 0 : (e.released < 0 ? e.end : e.released) - e.begun
      const w = e.wants < 0 ? 0 : (e.begun < 0 ? e.end : e.begun) - e.wants
      held += h; holds += e.begun >= 0; longestHold = Math.max(longestHold, h); waited += w; longest = Math.max(longest, w)
    }
    return watch ? [laneName(l), holds, time(held), time(longestHold)] : [laneName(l), done, busy, time(held), time(waited), time(longest)]
  })
  const row = (cells, tag) => {
    const tr = document.createElement("tr")
    for (const text of cells) { const td = document.createElement(tag); td.textContent = text; tr.append(td) }
    return tr
  }
  table.replaceChildren(row(head, "th"), ...rows.map(cells => row(cells, "td")))
  canvas.setAttribute("aria-label", r.title + ": " + rows.map(cells => cells[0] + (watch ? " held locks for " + cells[2] : " stored " + cells[1] + " rows, waited " + cells[4])).join("; "))
  const said = r.notes.slice(-5).map(n => (watch ? clock(r.zero + n.at / 1000) : time(n.at)) + " " + n.text)
  if (r.dropped) said.push(`${r.dropped.events} events in all: not every one is in the picture.`)
  note.textContent = said.join("\n")
  note.style.whiteSpace = "pre-line"
  note.hidden = !said.length
}

const laneName = l => l.command ? l.process + " " + l.command : l.process
const time = us => us >= 1e6 ? +(us / 1e6).toFixed(2) + " s" : us >= 1000 ? +(us / 1000).toFixed(1) + " ms" : Math.round(us) + " µs"
const clock = ms => new Date(ms).toLocaleTimeString([], { hour12: false })
const bytes = n => n >= 1 << 20 ? (n / (1 << 20)).toFixed(1) + " MiB" : n >= 1024 ? (n / 1024).toFixed(1) + " KiB" : n + " B"
const niceStep = least => { for (let unit = 1; ; unit *= 10) for (const n of [1, 2, 5]) if (n * unit >= least) return n * unit }

function text(id, s) {
  const section = $(id)
  section.hidden = !s
  section.querySelector("pre").textContent = s
}

function reset() {
  recordings = new Map()
  for (const id of ["recordings", "progress", "about"]) $(id).replaceChildren()
  text("status", "")
  text("result", "")
  $("legend").hidden = true
}

// show takes the next message.
function show(m) {
  switch (m.type) {
    case "reset": return reset()
    case "config":
      document.title = $("title").textContent = m.title
      $("command").hidden = !m.command
      $("command").firstElementChild.textContent = m.command
      $("about").textContent = m.about
      return
    case "progress": $("progress").textContent = m.text; return
    case "recording": return addRecording(m)
    case "status": return text("status", m.text)
    case "result": return text("result", m.text)
    case "end": $("progress").textContent = m.text
  }
}

for (const [tone, name] of LEGEND) {
  const li = document.createElement("li")
  li.className = tone
  li.textContent = name
  $("legend").append(li)
}
const scheme = matchMedia("(prefers-color-scheme: dark)")
scheme.addEventListener("change", draw)
addEventListener("resize", draw)
const inlined = $("messages")
if (inlined) JSON.parse(inlined.textContent).forEach(show)
