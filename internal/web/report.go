package web

// The page of the lab as one file that needs nothing else: it can be mailed,
// opened in ten years, and holds no script but ours.

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"

	"turnstile/internal/lab/report"
	"turnstile/internal/scene"
)

// WriteReport writes the page of a result. With predict it begins with a
// question, if the result has something to predict.
func WriteReport(w io.Writer, r report.Report, predict bool) error {
	messages := []any{NewConfigMessage("turnstile: who holds the lock, and who waits", r.CommandLine, r.AboutLine, nil)}
	if q := r.Question(); predict && q != nil {
		messages = append(messages, NewQuestionMessage(*q))
	}
	for i, t := range r.Trials {
		if t.Recording != nil {
			messages = append(messages, NewRecordingMessage(i+1, false, *t.Recording))
		}
	}
	return writePage(w, labPage, append(messages, NewResultMessage(r.Summary())))
}

// WriteRecording writes the page of a recording of watch.
func WriteRecording(w io.Writer, r *report.Recording, command string) error {
	return writePage(w, labPage, []any{NewConfigMessage(r.Title, command, "", nil), NewRecordingMessage(1, false, *r), NewResultMessage(r.Summary())})
}

// WriteScenes writes the page of scenes.
func WriteScenes(w io.Writer, stories []scene.Story, command, about string) error {
	messages := []any{NewConfigMessage("turnstile: SQLite's locks, step by step", command, about, nil)}
	for _, s := range stories {
		messages = append(messages, NewSceneMessage(s))
	}
	return writePage(w, labPage, messages)
}

// A savedPage says of which files a saved page is made.
type savedPage struct {
	files           embed.FS
	index           string
	styles, scripts []string // in their order
	live            []string // scripts that only a live page has
}

var labPage = savedPage{labFiles, "report.html", labStyles, labScripts, []string{"live.js"}}

// writePage writes a page with its messages in it. Its Content-Security-Policy
// allows these scripts and styles, by hash, and no connection to anywhere.
func writePage(w io.Writer, from savedPage, messages []any) error {
	page, err := from.file(from.index)
	if err != nil {
		return err
	}
	var styles, scripts, hashes strings.Builder
	for _, name := range from.styles {
		text, err := from.file(name)
		if err != nil {
			return err
		}
		page = strings.Replace(page, `<link rel="stylesheet" href="`+name+`">`+"\n", "", 1)
		styles.WriteString(text)
	}
	for _, name := range from.live {
		page = strings.Replace(page, `<script src="`+name+`" defer></script>`+"\n", "", 1)
	}
	for _, name := range from.scripts {
		text, err := from.file(name)
		if err != nil {
			return err
		}
		page = strings.Replace(page, `<script src="`+name+`" defer></script>`+"\n", "", 1)
		scripts.WriteString("<script>" + text + "</script>\n")
		hashes.WriteString(" " + sourceHash(text))
	}
	policy := "default-src 'none'; script-src" + hashes.String() + "; style-src " + sourceHash(styles.String()) +
		"; img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	head, tail, _ := strings.Cut(page, "</head>")
	body, end, ok := strings.Cut(tail, "</body>")
	if !ok {
		return fmt.Errorf("web: %s has no head and body", from.index)
	}
	head = strings.Replace(head, `<meta charset="utf-8">`, `<meta charset="utf-8">`+"\n"+
		`<meta http-equiv="Content-Security-Policy" content="`+policy+`">`, 1)
	if _, err := io.WriteString(w, head+"<style>"+styles.String()+"</style>\n</head>"+body+`<script type="application/json" id="messages">`); err != nil {
		return err
	}
	// Marshal escapes <, > and &, so that no text can end the element.
	text, err := json.Marshal(messages)
	if err != nil {
		return fmt.Errorf("web: messages of a page: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return err
	}
	_, err = io.WriteString(w, "</script>\n"+scripts.String()+"</body>"+end)
	return err
}

func (p savedPage) file(name string) (string, error) {
	text, err := p.files.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("web: %w", err)
	}
	if path.Ext(name) == ".js" {
		text, err = minified(name, text)
	}
	return string(text), err
}

// sourceHash is a source of a Content-Security-Policy.
func sourceHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
