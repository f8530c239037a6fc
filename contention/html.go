package main

// A page as a file: --html of contention, contention report and contention scene.

import (
	"io"

	"turnstile/internal/cli"
	"turnstile/internal/lab/report"
	"turnstile/internal/web"
)

// htmlFlags say which page to write.
type htmlFlags struct {
	file    string // "" for none
	predict bool
}

func addHTMLFlags(f *cli.Flags, canPredict bool) *htmlFlags {
	h := &htmlFlags{}
	f.StringVar(&h.file, "html", "", "also write a page to `FILE`, to open in a browser")
	if canPredict {
		f.BoolVar(&h.predict, "predict", true, "the page asks for a prediction before it shows the outcome")
		f.Advanced("predict")
	}
	return h
}

func (h *htmlFlags) write(env cli.Env, page func(io.Writer) error) error {
	return writeFile(env, h.file, "open it in a browser", page)
}

func (h *htmlFlags) writeReport(env cli.Env, r report.Report) error {
	return h.write(env, func(w io.Writer) error { return web.WriteReport(w, r, h.predict) })
}
