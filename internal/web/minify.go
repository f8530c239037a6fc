package web

import (
	"fmt"

	"github.com/tdewolff/minify/v2"
	"github.com/tdewolff/minify/v2/js"
)

// minified returns a script as browsers get it: without comments and blanks, and with
// short names inside functions. The files keep both, for people.
func minified(name string, script []byte) ([]byte, error) {
	m := minify.New()
	m.AddFunc("text/javascript", js.Minify)
	short, err := m.Bytes("text/javascript", script)
	if err != nil {
		return nil, fmt.Errorf("web: minify %s: %w", name, err)
	}
	return short, nil
}
