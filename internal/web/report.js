"use strict"
// The page of the lab: a function of the messages of messages.go. A saved page has
// them in it; to a live one, live.js brings them.
//
// A recording is drawn as lanes, one a process, on a time scale that all recordings
// share. Many events can fall into one pixel column. The column shows the worst
// state that takes at least a tenth of it.

const $ = id => document.getElementById(id)
function add(parent, tag, className, text) {
  const e = document.createElement(tag)
  if (className) e.className = className
  if (text !== undefined) e.textContent = text
  parent.append(e)
  return e
}

// The states of a process, the worst last.
const WORKS = 1, HOLDS = 2, BLOCKS = 3, QUEUE = 4, LOCK = 5, STATES = 6
const TONES = ["", "grey", "green", "amber", "blue", "red"]
const NAMES = ["", "works", "holds the lock", "holds it while others wait", "waits for the queue, its turn or its commit", "waits for SQLite's lock"]
const LANE = 27, AXIS = 20, CHART = 48, BLOCK = 64
const COLUMNS = ["ready", "wants", "begun", "released", "end"]

let recordings = new Map() // by number
let summary = null, stories = []
let windowSeconds = 0 // of a live page: how much of the end is shown, 0 for everything
let zoom = null // the visible range {from, to} in microseconds, null for everything
let active = null, drawn = 0, drawCost = 0, pending = false

// Lane is the events of one process as columns of numbers: a million of them are
// drawn while the mouse moves.
class Lane {
  constructor(doc) {
    this.process = doc.process
    this.command = doc.command || ""
    this.waits = doc.waits_for || "lock"
    this.wait = this.waits === "lock" ? LOCK : QUEUE
    this.n = 0
    this.lock = new Map() // by event, where known
  }
  room(n) {
    if (this.end && n <= this.end.length) return
    const size = Math.max(n, 2 * this.n)
    for (const [name, type] of [...COLUMNS.map(c => [c, Float64Array]), ["first", Int32Array], ["rows", Int32Array], ["task", Float64Array], ["code", Int32Array], ["open", Uint8Array]]) {
      const grown = new type(size)
      if (this[name]) grown.set(this[name])
      this[name] = grown
    }
  }
  // append decodes the columns of report.Lane. An event that was not over at the
  // end of the lane goes on in the first of these.
  append(c) {
    if (!c.ready.length) return
    if (this.n && this.open[this.n - 1]) this.n--
    const at = this.n, n = c.ready.length
    this.room(at + n)
    let last = 0, next = 0
    for (let i = 0; i < n; i++) {
      const to = at + i
      this.ready[to] = last += c.ready[i]
      for (let k = 1; k < 5; k++) {
        const step = c[COLUMNS[k]][i]
        this[COLUMNS[k]][to] = step < 0 ? -1 : last += step
      }
      this.first[to] = c.first ? c.first[i] : next
      this.rows[to] = c.rows ? c.rows[i] : 1
      this.task[to] = c.task ? c.task[i] : 0
      this.code[to] = c.code ? c.code[i] : 0
      this.open[to] = 0
      if (c.lock && c.lock[i]) this.lock.set(to, c.lock[i])
      next = this.first[to] + this.rows[to]
    }
    for (const i of c.unfinished || []) this.open[at + i] = 1
    this.n = at + n
  }
  holdEnd(i) { return this.begun[i] < 0 ? -1 : this.released[i] < 0 ? this.end[i] : this.released[i] }
  waitEnd(i) { return this.wants[i] < 0 ? -1 : this.begun[i] < 0 ? this.end[i] : this.begun[i] }
  start(i) { return Math.max(this.ready[i], i ? this.end[i - 1] : 0) }
  // spans calls f(state, from, to) for the parts of an event.
  spans(i, f) {
    const wants = this.wants[i]
    if (wants < 0) f(WORKS, this.start(i), this.end[i])
    else {
      if (this.task[i] > 0 && wants - this.ready[i] >= this.task[i]) f(WORKS, this.start(i), wants)
      f(this.wait, wants, this.waitEnd(i))
    }
    if (this.begun[i] >= 0) f(HOLDS, this.begun[i], this.holdEnd(i))
  }
}

// addRecording takes a whole recording or a part of one.
function addRecording(m) {
  let r = recordings.get(m.number)
  if (!r || !m.part) {
    const { source, title, zero } = m.recording
    r = { number: m.number, source, title, zero: Date.parse(zero), lanes: [], notes: [], series: new Map(), view: r && r.view }
    recordings.set(m.number, r)
  }
  for (const doc of m.recording.lanes) {
    let lane = r.lanes.find(l => l.process === doc.process && l.command === (doc.command || ""))
    if (!lane) r.lanes.push(lane = new Lane(doc))
    lane.append(doc.events)
  }
  r.notes.push(...m.recording.notes)
  for (const s of m.recording.series) {
    if (!r.series.has(s.name)) r.series.set(s.name, { at: [], values: [] })
    const to = r.series.get(s.name)
    let at = 0
    s.at.forEach((step, i) => { to.at.push(at += step); to.values.push(s.values[i]) })
  }
  r.dropped = m.recording.dropped
  r.dirty = true
  draw()
}

// index prepares a recording for drawing: when somebody waited for the lock, and for
// each block of events where it lies and how long each state took.
function index(r) {
  const from = [], to = []
  for (const l of r.lanes) {
    if (l.waits !== "lock" && l.waits !== "turn") continue
    for (let i = 0; i < l.n; i++) {
      if (l.wants[i] >= 0 && l.waitEnd(i) > l.wants[i]) { from.push(l.wants[i]); to.push(l.waitEnd(i)) }
    }
  }
  r.waited = union(Float64Array.from(from).sort(), Float64Array.from(to).sort())
  r.end = 1
  for (const l of r.lanes) {
    l.blocks = []
    l.marks = []
    l.done = l.failed = l.busy = 0
    for (let i = 0; i < l.n; i += BLOCK) {
      const b = { first: i, last: Math.min(l.n, i + BLOCK), from: Infinity, to: -1, sums: new Float64Array(STATES) }
      for (let k = b.first; k < b.last; k++) {
        b.from = Math.min(b.from, l.start(k))
        b.to = Math.max(b.to, l.end[k])
        l.spans(k, (state, x, y) => measure(r, state, x, y, b.sums))
        if (l.code[k] || l.open[k]) l.marks.push(k)
        if ((l.code[k] & 255) === 5) l.busy++
        if (l.code[k]) l.failed += l.rows[k]
        else if (!l.open[k]) l.done += l.rows[k]
      }
      r.end = Math.max(r.end, b.to)
      l.blocks.push(b)
    }
  }
  for (const s of r.series.values()) r.end = Math.max(r.end, s.at.at(-1) || 0)
  r.dirty = false
}

// union joins intervals, given by their sorted beginnings and ends.
function union(from, to) {
  const out = []
  let depth = 0
  for (let i = 0, k = 0; k < to.length;) {
    if (i < from.length && from[i] <= to[k]) { if (depth++ === 0 && out.at(-1) !== from[i]) out.push(from[i]); else if (depth === 1) out.pop(); i++ } else { if (--depth === 0) out.push(to[k]); k++ }
  }
  return Float64Array.from(out)
}

// waitedIn calls f(from, to) for the times in a period in which somebody waited.
function waitedIn(r, from, to, f) {
  const u = r.waited
  let low = 0, high = u.length / 2
  while (low < high) { const middle = low + high >> 1; if (u[2 * middle + 1] <= from) low = middle + 1; else high = middle }
  for (let i = 2 * low; i < u.length && u[i] < to; i += 2) f(Math.max(from, u[i]), Math.min(to, u[i + 1]))
}

// measure adds a span to the sums of its state. A hold has two.
function measure(r, state, from, to, sums) {
  if (to <= from) return
  sums[state] += to - from
  if (state === HOLDS) waitedIn(r, from, to, (a, b) => { sums[BLOCKS] += b - a; sums[HOLDS] -= b - a })
}

// totals returns how long each state took in the visible range.
function totals(r, from, to) {
  const sums = new Float64Array(STATES)
  for (const l of r.lanes) {
    for (const b of l.blocks) {
      if (b.to <= from || b.from >= to) continue
      if (b.from >= from && b.to <= to) { b.sums.forEach((v, state) => sums[state] += v); continue }
      for (let i = b.first; i < b.last; i++) l.spans(i, (state, x, y) => measure(r, state, Math.max(from, x), Math.min(to, y), sums))
    }
  }
  return sums
}

// fill returns for each pixel column of a lane how long each state took in it, and
// in column * STATES + 0 how long its holder worked.
function fill(r, l, from, to, columns) {
  const out = new Float32Array((columns + 1) * STATES), scale = columns / (to - from)
  const span = (state, a, b) => {
    a = Math.max(a, from); b = Math.min(b, to)
    if (b < a || b === a && state !== HOLDS) return
    const x = (a - from) * scale, y = (b - from) * scale, last = Math.min(columns, Math.floor(y))
    for (let i = Math.floor(x); i <= last; i++) out[i * STATES + state] += Math.max(1e-6, Math.min(y, i + 1) - Math.max(x, i))
  }
  const part = (state, a, b) => {
    span(state, a, b)
    if (state === HOLDS) waitedIn(r, a, b, (x, y) => span(BLOCKS, x, y))
  }
  for (const b of l.blocks) {
    if (b.to < from || b.from > to) continue
    const x = Math.floor((b.from - from) * scale)
    if (x >= 0 && x === Math.floor((b.to - from) * scale)) {
      for (let state = 1; state < STATES; state++) out[x * STATES + state] += b.sums[state] * scale
      continue
    }
    for (let i = b.first; i < b.last; i++) {
      if (l.end[i] < from || l.start(i) > to) continue
      l.spans(i, part)
      if (l.task[i] > 0 && l.begun[i] >= 0 && l.wants[i] - l.ready[i] < l.task[i]) span(0, l.begun[i], Math.min(l.begun[i] + l.task[i], l.holdEnd(i)))
    }
  }
  return out
}

// worst is the state that a column is drawn in.
function worst(out, i) {
  let most = 0, longest = 0
  for (let state = LOCK; state > 0; state--) {
    const v = out[i * STATES + state]
    if (v >= .1) return state
    if (v > longest) { longest = v; most = state }
  }
  return most
}

// draw draws soon, and seldom enough that a live page draws for a tenth of the time.
function draw(now) {
  if (pending) return
  pending = true
  const frame = () => requestAnimationFrame(() => {
    pending = false
    const start = performance.now()
    drawAll()
    drawn = performance.now()
    drawCost = drawn - start
  })
  if (now) frame()
  else setTimeout(frame, Math.max(0, drawn + 10 * drawCost - performance.now()))
}

const sorted = () => [...recordings.values()].sort((a, b) => a.number - b.number)

function everything() {
  let to = 1
  for (const r of recordings.values()) to = Math.max(to, r.end || 1)
  return { from: windowSeconds && recordings.size === 1 ? Math.max(0, to - windowSeconds * 1e6) : 0, to: to * 1.005 }
}

function drawAll() {
  const all = sorted()
  for (const r of all) if (r.dirty) { index(r); r.key = ""; describe(r) }
  const { from, to } = zoom || everything()
  for (const id of ["legend", "zoom", "hint"]) $(id).hidden = !all.length
  $("zoom-all").disabled = !zoom
  for (const r of all) {
    const key = [from, to, view(r).canvas.clientWidth, scheme.matches, r.selected && [r.selected.lane.process, r.selected.event]].join()
    if (r.key === key) continue
    r.key = key
    drawRecording(r, from, to)
  }
}

// view makes the elements of a recording, once.
function view(r) {
  if (r.view) return r.view
  const section = document.createElement("section")
  section.className = "trial"
  const head = add(section, "div", "head")
  const v = r.view = { section, title: add(head, "h3"), badge: add(head, "span", "badge"), totals: add(section, "ul", "totals") }
  v.canvas = add(section, "canvas")
  v.sentence = add(section, "p", "sentence")
  v.sentence.setAttribute("role", "status")
  v.caption = add(section, "p", "caption")
  v.note = add(section, "p", "note")
  const details = add(section, "details")
  add(details, "summary", "", "The same as a table")
  v.table = add(add(details, "div", "wide"), "table")
  v.canvas.tabIndex = 0
  v.canvas.setAttribute("role", "application")
  v.canvas.setAttribute("aria-roledescription", "time line")
  handle(v.canvas, r.number)
  const after = sorted().find(o => o.number > r.number && o.view)
  $("recordings").insertBefore(section, after ? after.view.section : null)
  return v
}

let palette = {}
function colours() {
  const style = getComputedStyle(document.documentElement)
  for (const name of ["fg", "muted", "line", "card", "green", "amber", "red", "blue", "grey", "mark"]) palette[name] = style.getPropertyValue("--" + name).trim()
}

// place says where things are in the picture of a recording.
function place(r, from, to) {
  const width = Math.max(200, r.view.canvas.clientWidth), narrow = width < 560
  const c = r.view.canvas.getContext("2d")
  c.font = "13px system-ui, sans-serif"
  const names = Math.max(20, ...[...recordings.values()].flatMap(o => o.lanes.map(l => c.measureText(laneName(l)).width)))
  const left = Math.round(Math.min(width * .3, names + 18)), right = r.source === "watch" ? 8 : narrow ? 70 : 116
  const columns = Math.max(40, Math.floor(width - left - right))
  return { c, width, narrow, left, columns, from, to, x: at => (at - from) / (to - from) * columns, height: AXIS + r.lanes.length * LANE + r.series.size * CHART + 6 }
}

function drawRecording(r, from, to) {
  colours()
  const p = r.place = place(r, from, to), { c, left, columns } = p, canvas = r.view.canvas, scale = devicePixelRatio || 1
  canvas.width = p.width * scale
  canvas.height = p.height * scale
  canvas.style.height = p.height + "px"
  c.scale(scale, scale)
  axis(r, p)
  r.lanes.forEach((l, k) => drawLane(r, l, AXIS + k * LANE, p))
  if (r.dropped && p.x(r.dropped.until) < columns) {
    const x = left + Math.max(0, p.x(r.dropped.until))
    c.strokeStyle = c.fillStyle = palette.muted
    c.setLineDash([2, 3]); c.beginPath(); c.moveTo(x, AXIS); c.lineTo(x, p.height); c.stroke(); c.setLineDash([])
    c.fillText("from here only the longest waits", x + 4, p.height - 8, Math.max(1, left + columns - x - 6))
  }
  ;[...r.series].forEach(([name, s], k) => chart(name, s, AXIS + r.lanes.length * LANE + k * CHART, p))
  for (const n of r.notes) {
    const x = left + p.x(n.at)
    if (x < left || x > left + columns) continue
    c.fillStyle = n.kind === "alert" ? palette.red : palette.muted
    c.beginPath(); c.moveTo(x - 4, AXIS - 6); c.lineTo(x + 4, AXIS - 6); c.lineTo(x, AXIS); c.fill()
  }
  highlight(r, p)
  const sums = totals(r, from, to), list = r.view.totals
  r.sums = sums
  list.replaceChildren()
  for (const state of [HOLDS, BLOCKS, LOCK, QUEUE, WORKS]) {
    if (sums[state] < 1) continue
    const li = add(list, "li", TONES[state], time(sums[state]))
    li.title = NAMES[state] + ": all processes together, in the visible time"
    add(li, "span", "hear", " " + NAMES[state])
  }
}

function axis(r, { c, left, columns, from, to, x, height, width, narrow }) {
  c.font = "12px system-ui, sans-serif"
  c.strokeStyle = palette.line
  c.fillStyle = palette.muted
  const step = niceStep((to - from) / Math.max(2, columns / (narrow ? 58 : 100)))
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const px = Math.round(left + x(at)) + .5
    c.beginPath(); c.moveTo(px, AXIS - 5); c.lineTo(px, height); c.stroke()
    const text = r.source === "watch" ? clock(r.zero + at / 1000) : axisTime(at, step)
    if (px + c.measureText(text).width < width) c.fillText(text, px + 3, 12)
  }
}

const HEIGHTS = [0, 4, 16, 16, 8, 8]

function drawLane(r, l, top, p) {
  const { c, left, columns, from, to } = p, out = fill(r, l, from, to, columns), middle = top + LANE / 2
  c.font = "13px system-ui, sans-serif"
  c.fillStyle = palette.fg
  c.fillText(clip(c, laneName(l), left - 12), 6, middle + 4.5)
  // Runs of columns that look the same. A hold that a wait covers shows behind it.
  const run = (look, paint) => {
    for (let i = 0; i <= columns;) {
      const state = look(i)
      let end = i + 1
      while (end <= columns && look(end) === state) end++
      if (state) paint(state, left + i, end - i)
      i = end
    }
  }
  const bar = (state, x, width) => {
    c.fillStyle = palette[TONES[state]]
    c.fillRect(x, middle - HEIGHTS[state] / 2, width, HEIGHTS[state])
  }
  c.globalAlpha = .35
  run(i => worst(out, i) < QUEUE ? 0 : out[i * STATES + BLOCKS] >= .1 ? BLOCKS : out[i * STATES + HOLDS] >= .1 ? HOLDS : 0, bar)
  c.globalAlpha = 1
  run(i => worst(out, i), bar)
  c.fillStyle = palette.fg
  c.globalAlpha = .55
  run(i => out[i * STATES] >= .5 && worst(out, i) < QUEUE ? 1 : 0, (_, x, width) => c.fillRect(x, middle + 5, width, 2))
  c.globalAlpha = 1
  marks(l, middle, p)
  if (r.source !== "watch") outcome(l, middle, p)
}

// outcome is what became of the rows of a process, at the end of its lane.
function outcome(l, middle, { c, left, columns, narrow }) {
  const parts = []
  if (l.done || !l.failed) parts.push([l.done.toLocaleString("en") + (narrow ? "" : l.done === 1 ? " row" : " rows"), palette.muted])
  if (l.failed) parts.push([l.failed.toLocaleString("en") + " lost", palette.mark])
  let x = left + columns + 8
  c.font = "12px system-ui, sans-serif"
  parts.forEach(([text, tone], i) => {
    c.fillStyle = tone
    if (i) { c.fillStyle = palette.muted; c.fillText(", ", x, middle + 4); x += c.measureText(", ").width; c.fillStyle = tone }
    if (tone === palette.mark) c.font = "600 12px system-ui, sans-serif"
    c.fillText(text, x, middle + 4)
    x += c.measureText(text).width
  })
}

// marks draws a cross with the code at each error, and hatches what was not over.
function marks(l, middle, { c, left, columns, from, to, x }) {
  let free = -Infinity
  l.marks.forEach((i, k) => {
    if (l.end[i] < from || l.start(i) > to) return
    const end = left + Math.min(columns, x(l.end[i]))
    if (l.open[i]) {
      const start = left + Math.max(0, x(l.start(i)))
      c.save()
      c.beginPath(); c.rect(start, middle - 8, Math.max(2, end - start), 16); c.clip()
      c.strokeStyle = palette.card
      c.lineWidth = 2
      for (let at = start - 16; at < end; at += 7) { c.beginPath(); c.moveTo(at, middle + 8); c.lineTo(at + 16, middle - 8); c.stroke() }
      c.restore()
    }
    if (!l.code[i] || end < free) return
    c.strokeStyle = palette.card; c.lineWidth = 5
    cross(c, end, middle)
    c.strokeStyle = palette.mark; c.lineWidth = 2.5
    cross(c, end, middle)
    free = end + 10
    // The code, above the bar of a wait: a hold that follows soon leaves no room.
    const next = l.marks[k + 1], room = Math.min(left + columns, next === undefined ? Infinity : left + x(l.end[next]) - 8, i + 1 < l.n && l.begun[i + 1] >= 0 ? left + x(l.begun[i + 1]) : Infinity)
    c.font = "600 11px system-ui, sans-serif"
    for (const text of [`${codeName(l.code[i])} (${l.code[i]})`, String(l.code[i])]) {
      const width = c.measureText(text).width
      if (end + 8 + width > room) continue
      c.fillStyle = palette.mark
      c.fillText(text, end + 8, middle - 5)
      free = end + 10 + width
      break
    }
  })
}

function cross(c, x, y) {
  c.beginPath(); c.moveTo(x - 5, y - 5); c.lineTo(x + 5, y + 5); c.moveTo(x + 5, y - 5); c.lineTo(x - 5, y + 5); c.stroke()
}

// chart draws a series as steps.
function chart(name, s, top, { c, left, columns, from, to, x }) {
  let most = 1
  for (const v of s.values) most = Math.max(most, v)
  const y = v => top + CHART - 4 - v / most * (CHART - 20)
  c.fillStyle = palette.muted
  c.font = "12px system-ui, sans-serif"
  c.fillText(name.replaceAll("_", " ") + ", up to " + (name.endsWith("bytes") ? bytes(most) : most.toLocaleString("en")), 6, top + 12)
  c.strokeStyle = palette[name.includes("pinned") ? "amber" : "blue"]
  c.lineWidth = 1.5
  c.beginPath()
  s.at.forEach((at, i) => {
    const next = s.at[i + 1] ?? to
    if (next < from || at > to) return
    c.lineTo(left + Math.max(0, x(at)), y(s.values[i])); c.lineTo(left + Math.min(columns, x(next)), y(s.values[i]))
  })
  c.stroke()
}

// attribute says who held the lock in a period: [[lane, microseconds], ...], the
// longest first, and how long nobody did.
function attribute(r, lane, from, to) {
  const held = []
  let nobody = to - from
  for (const l of r.lanes) {
    let sum = 0
    for (const b of l === lane ? [] : l.blocks) {
      if (b.to <= from || b.from >= to) continue
      for (let i = b.first; i < b.last; i++) if (l.begun[i] >= 0) sum += Math.max(0, Math.min(to, l.holdEnd(i)) - Math.max(from, l.begun[i]))
    }
    if (sum) held.push([l, sum])
    nobody -= sum
  }
  held.sort((a, b) => b[1] - a[1])
  return { held, nobody: Math.max(0, nobody) }
}

// highlight lights up the chosen event, and who held the lock while it waited.
function highlight(r, { c, left, columns, from, to, x }) {
  const s = r.selected
  if (!s) return
  const { lane, event: i } = s, row = r.lanes.indexOf(lane)
  let a = lane.wants[i], b = lane.waitEnd(i)
  if (a < 0 || b - a < 1) { a = lane.start(i); b = lane.end[i] }
  const at = t => left + Math.max(0, Math.min(columns, x(t)))
  c.fillStyle = palette.card
  c.globalAlpha = .72
  const top = AXIS, bottom = AXIS + r.lanes.length * LANE
  c.fillRect(left, top, at(a) - left, bottom - top)
  c.fillRect(at(b), top, left + columns + 1 - at(b), bottom - top)
  c.globalAlpha = 1
  c.strokeStyle = palette.fg
  c.lineWidth = 2
  r.lanes.forEach((l, k) => {
    if (l === lane) return
    let drawn = -1
    for (const block of l.blocks) {
      if (block.to <= a || block.from >= b) continue
      for (let j = block.first; j < block.last; j++) {
        if (l.begun[j] < 0 || l.begun[j] >= b || l.holdEnd(j) <= a) continue
        const px = at(Math.max(a, l.begun[j])), end = at(Math.min(b, l.holdEnd(j)))
        if (end <= drawn + 1) continue
        drawn = end
        c.strokeRect(px, AXIS + k * LANE + 3, Math.max(1, end - px), LANE - 6)
      }
    }
  })
  c.setLineDash([4, 3])
  c.strokeRect(at(a) - 1, AXIS + row * LANE + 3, Math.max(3, at(b) - at(a) + 2), LANE - 6)
  c.setLineDash([])
}

// tell is the sentence about an event.
function tell(r, { lane, event: i }) {
  const rows = lane.rows[i] > 1 ? `rows ${lane.first[i] + 1} to ${lane.first[i] + lane.rows[i]}` : lane.rows[i] ? `row ${lane.first[i] + 1}` : lane.lock.get(i) || ""
  const parts = [], from = lane.wants[i], to = lane.waitEnd(i)
  if (from >= 0 && to > from) {
    const { held, nobody } = attribute(r, lane, from, to), who = held.slice(0, 4).map(([l, sum]) => laneName(l) + " " + time(sum, 3))
    if (held.length > 4) who.push(`${held.length - 4} others ` + time(held.slice(4).reduce((sum, h) => sum + h[1], 0), 3))
    parts.push(`waited ${time(to - from, 3)}` + (lane.wait === LOCK ? "" : ` for the ${lane.waits}`) + `: ` + [...who, "nobody " + time(nobody, 3)].join(", "))
  }
  if (lane.begun[i] >= 0) {
    const held = lane.holdEnd(i) - lane.begun[i], works = lane.wants[i] - lane.ready[i] < lane.task[i] ? Math.min(lane.task[i], held) : 0
    parts.push(`held the lock for ${time(held, 3)}` + (works ? `, ${time(works, 3)} of it to work` : ""))
  }
  if (!parts.length) parts.push(`worked ${time(lane.end[i] - lane.start(i), 3)}`)
  if (lane.open[i]) parts.push("was not over when time ran out")
  else if (lane.code[i]) parts.push(`failed with ${codeName(lane.code[i])} (${lane.code[i]})`)
  return `${laneName(lane)}${rows && ", " + rows}: ${parts.join("; ")}.`
}

function select(r, lane, event) {
  for (const o of recordings.values()) if (o !== r && o.selected) { o.selected = null; o.view.sentence.textContent = "" }
  r.selected = lane && event >= 0 && event < lane.n ? { lane, event } : null
  r.view.sentence.textContent = r.selected ? tie(tell(r, r.selected)) : ""
  if (r.selected && zoom) {
    const a = lane.start(event), b = lane.end[event], width = zoom.to - zoom.from
    if (b < zoom.from || a > zoom.to) look(a + (b - a) / 2 - width / 2, a + (b - a) / 2 + width / 2)
  }
  draw(true)
}

// find returns the event of a lane at a time, or the nearest within a few pixels.
function find(l, at, near) {
  let best = -1, distance = near
  for (const b of l.blocks) {
    if (b.to < at - near || b.from > at + near) continue
    for (let i = b.first; i < b.last; i++) {
      const d = Math.max(0, l.start(i) - at, at - l.end[i])
      if (d < distance || d === 0 && distance > 0) { distance = d; best = i }
    }
  }
  return best
}

// look shows a range, no wider than everything and no narrower than 20 microseconds.
function look(from, to) {
  const all = everything(), width = Math.max(20, to - from)
  if (width >= all.to - all.from) zoom = null
  else {
    from = Math.min(Math.max(all.from, from), all.to - width)
    zoom = { from, to: from + width }
  }
  draw(true)
}
function zoomBy(factor, at) {
  const { from, to } = zoom || everything()
  at = at ?? (from + to) / 2
  look(at - (at - from) * factor, at + (to - at) * factor)
}
function panBy(share) {
  const { from, to } = zoom || everything(), step = share * (to - from)
  look(from + step, to + step)
}

// handle lets mouse, touch and keyboard move through a picture.
function handle(canvas, number) {
  const r = () => recordings.get(number), pointers = new Map()
  const timeAt = px => { const p = r().place; return p.from + (px - p.left) / p.columns * (p.to - p.from) }
  let moved = false
  canvas.addEventListener("wheel", e => {
    if (!r().place) return
    // Without Ctrl the wheel scrolls the page, until somebody has clicked into the picture.
    if (e.deltaX && Math.abs(e.deltaX) > Math.abs(e.deltaY) || e.shiftKey) { e.preventDefault(); panBy((e.deltaX || e.deltaY) / 1000); return }
    if (!e.ctrlKey && document.activeElement !== canvas) return
    e.preventDefault()
    zoomBy(Math.exp(Math.max(-1, Math.min(1, e.deltaY / 300))), timeAt(e.offsetX))
  }, { passive: false })
  canvas.addEventListener("pointerdown", e => { pointers.set(e.pointerId, e.offsetX); moved = pointers.size > 1; canvas.setPointerCapture(e.pointerId) })
  canvas.addEventListener("pointermove", e => {
    const p = r().place
    if (!pointers.has(e.pointerId) || !p) return
    const before = [...pointers.values()], [x] = [pointers.get(e.pointerId)]
    if (!moved && Math.abs(e.offsetX - x) < 4) return
    moved = true
    pointers.set(e.pointerId, e.offsetX)
    if (pointers.size === 1) panBy((x - e.offsetX) / p.columns)
    else if (pointers.size === 2) {
      const after = [...pointers.values()], width = Math.abs(after[0] - after[1])
      if (width > 8) zoomBy(Math.abs(before[0] - before[1]) / width, timeAt((after[0] + after[1]) / 2))
    }
  })
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, e => {
    pointers.delete(e.pointerId)
    if (type !== "pointerup" || moved || !r().place) return
    const l = r().lanes[Math.floor((e.offsetY - AXIS) / LANE)], p = r().place
    select(r(), l, l ? find(l, timeAt(e.offsetX), 6 * (p.to - p.from) / p.columns) : -1)
  })
  canvas.addEventListener("dblclick", e => zoomBy(.4, timeAt(e.offsetX)))
  canvas.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey) return
    const now = r(), keys = { "+": () => zoomBy(.6), "=": () => zoomBy(.6), "-": () => zoomBy(1 / .6), 0: () => look(0, Infinity), Escape: () => select(now) }
    const s = now.selected, lanes = now.lanes.filter(l => l.n)
    if (e.shiftKey && e.key.startsWith("Arrow")) keys.ArrowLeft = () => panBy(-.2), keys.ArrowRight = () => panBy(.2)
    else if (lanes.length) {
      const lane = s ? s.lane : lanes[0]
      keys.ArrowRight = () => select(now, lane, s ? Math.min(lane.n - 1, s.event + 1) : firstSeen(lane))
      keys.ArrowLeft = () => select(now, lane, s ? Math.max(0, s.event - 1) : firstSeen(lane))
      for (const [key, step] of [["ArrowDown", 1], ["ArrowUp", -1]]) keys[key] = () => {
        const other = lanes[s ? Math.min(lanes.length - 1, Math.max(0, lanes.indexOf(lane) + step)) : 0]
        select(now, other, s ? find(other, (lane.start(s.event) + lane.end[s.event]) / 2, Infinity) : firstSeen(other))
      }
    }
    if (keys[e.key]) { e.preventDefault(); keys[e.key]() }
  })
}
function firstSeen(lane) {
  const { from } = zoom || everything()
  for (let i = 0; i < lane.n; i++) if (lane.end[i] > from) return i
  return 0
}

// describe writes what the picture shows in words and as a table.
function describe(r) {
  const watch = r.source === "watch", v = view(r), [strategy, ...size] = r.title.split(", ")
  v.title.replaceChildren()
  add(v.title, "strong", "", watch ? r.title : strategy)
  if (!watch) v.title.append(" " + size.join(", "))
  const rows = r.lanes.map(l => {
    let held = 0, waited = 0, longest = 0, longestHold = 0, holds = 0
    for (let i = 0; i < l.n; i++) {
      if (l.begun[i] >= 0) { const h = l.holdEnd(i) - l.begun[i]; held += h; holds++; longestHold = Math.max(longestHold, h) }
      if (l.wants[i] >= 0) { const w = l.waitEnd(i) - l.wants[i]; waited += w; longest = Math.max(longest, w) }
    }
    return watch ? [laneName(l), holds, time(held), time(longestHold)] : [laneName(l), l.done, l.failed, l.busy, time(held), time(waited), time(longest)]
  })
  fillTable(v.table, watch ? ["process", "locks", "held", "longest hold"] : ["process", "rows stored", "rows lost", "SQLITE_BUSY", "held the lock", "waited", "longest wait"], rows)
  v.canvas.setAttribute("aria-label", r.title + ": " + rows.map(cells => watch ? `${cells[0]} held locks for ${cells[2]}` : `${cells[0]} stored ${cells[1]} rows, lost ${cells[2]}, waited ${cells[5]}`).join("; ") +
    ". Left and right go from event to event, up and down from process to process, plus and minus zoom.")
  const said = r.notes.slice(-5).map(n => (watch ? clock(r.zero + n.at / 1000) : time(n.at)) + " " + n.text)
  if (r.dropped) {
    said.push(r.dropped.waits ? `${r.dropped.events.toLocaleString("en")} events in all. Those of the first ${time(r.dropped.until)} are all here; of the later ones, the ${r.dropped.waits.toLocaleString("en")} longest waits.`
      : `${r.dropped.events.toLocaleString("en")} events so far: not every one is in the picture.`)
  }
  v.note.textContent = said.join("\n")
  v.note.hidden = !said.length
  caption(r)
}

// caption puts the outcome of a trial beside its title, and its sentences below.
function caption(r) {
  if (!r.view) return
  const trial = summary && summary.trials[r.number - 1], { badge, caption } = r.view
  caption.textContent = trial ? tie(summary.captions[r.number - 1]) : ""
  caption.hidden = !trial
  badge.textContent = trial ? `${trial.stored.toLocaleString("en")} of ${trial.asked.toLocaleString("en")} rows stored` + (trial.lost ? `, ${trial.lost.toLocaleString("en")} lost` : "") : ""
  badge.classList.toggle("lost", !!(trial && trial.lost))
}

function fillTable(table, head, rows) {
  const row = (parent, cells, tag) => {
    const tr = add(parent, "tr")
    cells.forEach((text, i) => { const cell = add(tr, i ? tag : "th", "", typeof text === "number" ? text.toLocaleString("en") : text); if (tag === "td" && !i) cell.scope = "row" })
  }
  table.replaceChildren()
  row(add(table, "thead"), head, "th")
  const body = add(table, "tbody")
  for (const cells of rows) row(body, cells, "td")
}

// tie keeps a number and its unit on one line.
const tie = text => text.replace(/(\d) (ms|s|µs|%|rows)\b/g, "$1\u00a0$2")
const laneName = l => l.command ? l.process + " " + l.command : l.process
function time(us, digits) {
  if (us < 1000) return Math.round(us) + " µs"
  const [n, unit] = us < 999500 ? [us / 1000, " ms"] : [us / 1e6, " s"]
  return (n >= 100 && unit === " ms" ? Math.round(n).toLocaleString("en") : +n.toPrecision(digits || (n < 10 ? 2 : 3))) + unit
}
const axisTime = (at, step) => step >= 1e6 || at >= 1e6 ? +(at / 1e6).toFixed(6) + " s" : step >= 1000 || !at ? +(at / 1000).toFixed(3) + " ms" : +at.toFixed(1) + " µs"
const clock = ms => new Date(ms).toLocaleTimeString([], { hour12: false })
const bytes = n => n >= 1 << 20 ? (n / (1 << 20)).toFixed(1) + " MiB" : n >= 1024 ? (n / 1024).toFixed(1) + " KiB" : n + " B"
const niceStep = least => { for (let unit = 1; ; unit *= 10) for (const n of [1, 2, 5]) if (n * unit >= least) return n * unit }
const CODES = { 1: "SQLITE_ERROR", 5: "SQLITE_BUSY", 6: "SQLITE_LOCKED", 261: "SQLITE_BUSY_RECOVERY", 517: "SQLITE_BUSY_SNAPSHOT", 773: "SQLITE_BUSY_TIMEOUT" }
const codeName = code => CODES[code] || "error " + code
function clip(c, text, width) {
  if (c.measureText(text).width <= width) return text
  while (text && c.measureText(text + "…").width > width) text = text.slice(0, -1)
  return text + "…"
}

function reset() {
  recordings = new Map()
  summary = zoom = null
  stories = []
  for (const id of ["recordings", "scenes", "progress", "about", "headline"]) $(id).replaceChildren()
  for (const id of ["status", "result", "charts", "legend", "zoom", "hint", "predict"]) $(id).hidden = true
  document.body.classList.remove("guessing")
}

// ask hides the outcome until the reader has said what it will be.
function ask(q) {
  const box = $("predict"), form = box.querySelector("form"), field = form.querySelector("div")
  box.querySelector(".question").textContent = tie(q.text)
  field.replaceChildren()
  if (q.choices.length) {
    for (const choice of q.choices) {
      const label = add(field, "label"), input = add(label, "input")
      Object.assign(input, { type: "radio", name: "guess", value: choice, required: true })
      label.append(" " + choice)
    }
  } else {
    const label = add(field, "label", "", "Rows stored: "), input = add(label, "input")
    Object.assign(input, { type: "number", name: "guess", min: 0, max: q.most, required: true })
  }
  box.hidden = false
  document.body.classList.add("guessing")
  const reveal = guess => {
    document.body.classList.remove("guessing")
    form.hidden = true
    box.querySelector(".answer").textContent = guess === null ? "" : guess === q.answer ? `You said ${guess}. That is what happened.` : `You said ${guess}. It was ${q.answer}.`
    if (guess === null) box.hidden = true
    draw(true)
    if (summary) showCharts(summary)
    $("headline").focus()
  }
  form.onsubmit = e => { e.preventDefault(); reveal(new FormData(form).get("guess")) }
  box.querySelector("[type=button]").onclick = () => reveal(null)
}

// show takes the next message.
function show(m) {
  switch (m.type) {
    case "reset": return reset()
    case "config":
      document.title = $("title").textContent = m.title
      $("command").hidden = !m.command
      $("command").querySelector("code").textContent = m.command
      $("about").textContent = m.about
      return
    case "progress": $("progress").textContent = m.text; return
    case "question": return ask(m.question)
    case "recording": return addRecording(m)
    case "scene": return addScene(m.scene)
    case "status":
      $("status").hidden = !m.text
      $("status").querySelector("pre").textContent = m.text
      return
    case "result":
      summary = m.summary
      for (const r of recordings.values()) caption(r)
      showResult(summary)
      return
    case "end": $("progress").textContent = m.text
  }
}

for (const state of [HOLDS, BLOCKS, LOCK, QUEUE, WORKS]) add($("legend"), "li", TONES[state], NAMES[state])
for (const [tone, text] of [["edge", "works while it holds it"], ["cross", "SQLite's error, with its code"], ["hatched", "not over when time ran out"]]) add($("legend"), "li", tone, text)
$("zoom-in").onclick = () => zoomBy(.5)
$("zoom-out").onclick = () => zoomBy(2)
$("zoom-all").onclick = () => look(0, Infinity)
for (const button of document.querySelectorAll("[data-copy]")) button.onclick = async () => {
  const code = button.parentElement.querySelector("code"), name = button.textContent
  try {
    await navigator.clipboard.writeText(code.textContent)
    button.textContent = "Copied"
  } catch {
    getSelection().selectAllChildren(code) // no clipboard here: it is ready to be copied by hand
    button.textContent = "Press Ctrl+C"
  }
  setTimeout(() => button.textContent = name, 2000)
}
const scheme = matchMedia("(prefers-color-scheme: dark)")
scheme.addEventListener("change", () => draw(true))
addEventListener("resize", () => { draw(true); if (summary) showCharts(summary) })
const inlined = $("messages")
if (inlined) addEventListener("DOMContentLoaded", () => JSON.parse(inlined.textContent).forEach(show))
