"use strict"
// Moving through the lanes by mouse, touch and keyboard, and the sentence about an event.

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
  if (lane.open[i]) parts.push("was not over at the end")
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
