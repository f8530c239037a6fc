"use strict"
// Recordings: the events of processes as columns of numbers, and what they add up to. A
// million of them are drawn while the mouse moves.

// The states of a process, the worst last.
const WORKS = 1, HOLDS = 2, BLOCKS = 3, QUEUE = 4, LOCK = 5, STATES = 6
const TONES = ["", "grey", "green", "amber", "blue", "red"]
const NAMES = ["", "works", "holds the lock", "holds it while others wait", "waits for the queue, its turn or its commit", "waits for SQLite's lock"]
const BLOCK = 64 // events that are summed up together
const COLUMNS = ["ready", "wants", "begun", "released", "end"]

let recordings = new Map() // by number

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
      if (c.lock && c.lock[i]) {
        this.lock.set(to, c.lock[i])
        this.calm ||= c.lock[i] === "wal-read" || c.lock[i] === "wal-checkpoint" // blocks nobody
      }
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
