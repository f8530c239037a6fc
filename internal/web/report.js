"use strict"
// The page of the lab: a function of the messages of messages.go. A saved page has
// them in it; to a live one, live.js brings them.

const $ = id => document.getElementById(id)
function add(parent, tag, className, text) {
  const e = document.createElement(tag)
  if (className) e.className = className
  if (text !== undefined) e.textContent = text
  parent.append(e)
  return e
}

let summary = null // of the result so far

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
const clock = (ms, step) => new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", fractionalSecondDigits: step < 1e4 ? 3 : step < 1e6 ? 1 : undefined })
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
for (const [tone, text] of [["busy", "works while it holds the lock"], ["cross", "SQLite's error, with its code"], ["hatched", "not over at the end"], ["calm", "reads, or copies the WAL: blocks no writer"]]) add($("legend"), "li", tone, text)
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
