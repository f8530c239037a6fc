package web

// The messages of the lab's page. A page of the lab is a function of them; the
// script that shows them is report.js.

import (
	"embed"
	"slices"

	"turnstile/internal/lab/report"
	"turnstile/internal/scene"
)

// ConfigMessage is the first message: what this page is about.
type ConfigMessage struct {
	Type    string   `json:"type"` // "config"
	Title   string   `json:"title"`
	Command string   `json:"command"` // what was typed
	About   string   `json:"about"`   // the machine, in a line
	Trials  []string `json:"trials"`  // titles of the recordings to come, in their order; empty if there is one
}

// NewConfigMessage returns a ConfigMessage.
func NewConfigMessage(title, command, about string, trials []string) ConfigMessage {
	return ConfigMessage{"config", title, command, about, trials}
}

// ProgressMessage is how far a run is, as a sentence. Each stands for those before.
type ProgressMessage struct {
	Type string `json:"type"` // "progress"
	Text string `json:"text"`
}

// NewProgressMessage returns a ProgressMessage.
func NewProgressMessage(text string) ProgressMessage { return ProgressMessage{"progress", text} }

// RecordingMessage is a recording. A part is added to the recording of the same
// number: each lane goes on, and an event that was unfinished at the end of a
// lane is replaced by the first of that lane in the part. A message that is not
// a part takes the place of the recording.
type RecordingMessage struct {
	Type      string           `json:"type"`   // "recording"
	Number    int              `json:"number"` // from 1
	Part      bool             `json:"part"`
	Recording report.Recording `json:"recording"`
}

// NewRecordingMessage returns a RecordingMessage.
func NewRecordingMessage(number int, part bool, r report.Recording) RecordingMessage {
	return RecordingMessage{"recording", number, part, r}
}

// StatusMessage is what there is to say about a database now, as text. Each
// stands for those before.
type StatusMessage struct {
	Type string `json:"type"` // "status"
	Text string `json:"text"`
}

// NewStatusMessage returns a StatusMessage.
func NewStatusMessage(text string) StatusMessage { return StatusMessage{"status", text} }

// ResultMessage is the report of the trials so far; the n-th trial is that of
// recording n. Each stands for those before.
type ResultMessage struct {
	Type    string         `json:"type"` // "result"
	Summary report.Summary `json:"summary"`
}

// NewResultMessage returns a ResultMessage.
func NewResultMessage(s report.Summary) ResultMessage { return ResultMessage{"result", s} }

// QuestionMessage hides the page until the reader has predicted the outcome.
type QuestionMessage struct {
	Type     string          `json:"type"` // "question"
	Question report.Question `json:"question"`
}

// NewQuestionMessage returns a QuestionMessage.
func NewQuestionMessage(q report.Question) QuestionMessage { return QuestionMessage{"question", q} }

// SceneMessage is a scene that was played.
type SceneMessage struct {
	Type  string      `json:"type"` // "scene"
	Scene scene.Story `json:"scene"`
}

// NewSceneMessage returns a SceneMessage.
func NewSceneMessage(s scene.Story) SceneMessage { return SceneMessage{"scene", s} }

// EndMessage says that nothing follows.
type EndMessage struct {
	Type string `json:"type"` // "end"
	Text string `json:"text"` // why
}

// NewEndMessage returns an EndMessage.
func NewEndMessage(text string) EndMessage { return EndMessage{"end", text} }

// AgainAction is the action of the button "run again".
const AgainAction = "again"

//go:embed report.html theme.css report.css recording.js lanes.js select.js result.js scene.js report.js live.js
var labFiles embed.FS

// The styles and scripts of the page, in their order. A live page has live.js, too.
var (
	labStyles  = []string{"theme.css", "report.css"}
	labScripts = []string{"recording.js", "lanes.js", "select.js", "result.js", "scene.js", "report.js"}
)

// NewLabServer returns the server of a page of the lab, which shows the messages
// of o.Events. Of o it takes the address, events, actions and log.
func NewLabServer(o Options) (*Server, error) {
	o.Files, o.Index, o.Names = labFiles, "report.html", slices.Concat(labStyles, labScripts, []string{"live.js"})
	return NewServer(o)
}
