"use strict"
// What only a live page has: messages as they come, "run again", and the state of
// the connection.

const token = document.querySelector("meta[name=token]").content
$("controls").hidden = false

const events = new EventSource("events")
const connection = $("connection")
events.onopen = () => { connection.textContent = "live"; connection.className = "" }
events.onerror = () => {
  connection.textContent = "The program does not answer: it has ended, or is busy. The page tries again by itself."
  connection.className = "lost"
}
events.onmessage = e => {
  const m = JSON.parse(e.data)
  show(m)
  if (m.type === "reset" || m.type === "config") $("again").disabled = true
  if (m.type === "end") $("again").disabled = false
  if (m.type === "recording" && m.recording.source === "watch" && $("range").hidden) {
    $("range").hidden = false
    range()
  }
}

// Only a server that has the action fills in the token.
const again = $("again")
again.hidden = !token
again.onclick = async () => {
  again.disabled = true
  const answer = await fetch("again", { method: "POST", headers: { "Turnstile-Token": token } }).catch(e => e)
  if (!answer.ok) {
    connection.textContent = "Not run again: " + (answer.text ? await answer.text() : answer)
    again.disabled = false
  }
}

function range() {
  windowSeconds = +$("range").querySelector("select").value
  draw()
}
$("range").onchange = range
