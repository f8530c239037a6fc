"use strict"
// The picture of a recording: lanes, one a process, on a time scale that all recordings
// share. Many events can fall into one pixel column. The column shows the worst state that
// takes at least a tenth of it.

const LANE = 28, AXIS = 20, CHART = 48 // heights in pixels

let windowSeconds = 0 // of a live page: how much of the end is shown, 0 for everything
let zoom = null // the visible range {from, to} in microseconds, null for everything
let drawn = 0, drawCost = 0, pending = false

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
  legend(all)
  const names = nameWidth(all)
  for (const r of all) {
    const key = [names, from, to, view(r).canvas.clientWidth, scheme.matches, r.selected && [r.selected.lane.process, r.selected.event]].join()
    if (r.key === key) continue
    r.key = key
    drawRecording(r, names, from, to)
  }
}

let palette = {}
function colours() {
  const style = getComputedStyle(document.documentElement)
  for (const name of ["fg", "muted", "line", "card", "green", "amber", "red", "blue", "grey", "mark"]) palette[name] = style.getPropertyValue("--" + name).trim()
}

// legend explains what there is, and nothing else.
function legend(all) {
  const seen = new Set()
  for (const r of all) for (const l of r.lanes) {
    for (const b of l.blocks) b.sums.forEach((v, state) => v && seen.add(TONES[state]))
    if (l.calm) seen.add("calm")
    for (const i of l.marks) { if (l.code[i]) seen.add("cross"); if (l.open[i]) seen.add("hatched") }
    if (l.n && l.task[0] > 0 && l.begun[0] >= 0 && l.wants[0] - l.ready[0] < l.task[0]) seen.add("busy")
  }
  for (const li of $("legend").children) li.hidden = !seen.has(li.className)
}

// nameWidth returns the room for the names of lanes: the same everywhere, so that
// the time lines are one below the other.
function nameWidth(all) {
  const c = all.length && view(all[0]).canvas.getContext("2d")
  if (c) c.font = "13px system-ui, sans-serif"
  return Math.ceil(Math.max(20, ...all.flatMap(r => r.lanes.map(l => c.measureText(laneName(l)).width))))
}

// place says where things are in the picture of a recording.
function place(r, names, from, to) {
  const width = Math.max(200, r.view.canvas.clientWidth), narrow = width < 560
  const c = r.view.canvas.getContext("2d")
  const left = Math.round(Math.min(width * .3, names + 18)), right = r.source === "watch" ? 8 : narrow ? 70 : 116
  const columns = Math.max(40, Math.floor(width - left - right))
  return { c, width, narrow, left, columns, from, to, x: at => (at - from) / (to - from) * columns, height: AXIS + r.lanes.length * LANE + r.series.size * CHART + 6 }
}

function drawRecording(r, names, from, to) {
  colours()
  const p = r.place = place(r, names, from, to), { c, left, columns } = p, canvas = r.view.canvas, scale = devicePixelRatio || 1
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
    const text = r.source === "watch" ? clock(r.zero + at / 1000, step) : axisTime(at, step)
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
  c.globalAlpha = l.calm ? .4 : 1
  run(i => worst(out, i), bar)
  // Work is a line here, too: thin as the grey one, and dark on the bar.
  c.fillStyle = palette.fg
  c.globalAlpha = 1
  run(i => out[i * STATES] >= .5 && worst(out, i) < QUEUE ? 1 : 0, (_, x, width) => c.fillRect(x, middle - HEIGHTS[WORKS] / 2, width, HEIGHTS[WORKS]))
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
      c.fillText(text, end + 8, middle - 7)
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
