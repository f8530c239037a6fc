package screen

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	fill := strings.Repeat("word ", 9) // 45 columns, after an indent of 2
	for _, c := range []struct{ name, text, want string }{
		{"short", "one line", "> one line\n"},
		{"empty", "", "> \n"},
		{"words stay whole", fill + "extraordinarily long", "> " + fill + "\n  extraordinarily long\n"},
		{"exactly as wide as the terminal", fill + "1234567890123", "> " + fill + "1234567890123\n"},
		{"one column wider", fill + "12345678901234", "> " + fill + "\n  12345678901234\n"},
		{"a word wider than the terminal", fill + strings.Repeat("x", 70), "> " + fill + "\n  " + strings.Repeat("x", 70) + "\n"},
		{"number and unit", fill + "words of 230 ms", "> " + fill + "words of\n  230 ms\n"},
		{"percent", fill + "words of 230 %, then", "> " + fill + "words of\n  230 %, then\n"},
		{"kill", fill + "x: kill -CONT 7123 continues it", "> " + fill + "x:\n  kill -CONT 7123 continues it\n"},
		{"kill without a signal", fill + "or kill 512345", "> " + fill + "or\n  kill 512345\n"},
		{"flag and value", fill + "set --rate 10/s", "> " + fill + "\n  set --rate 10/s\n"},
		{"no command before a flag", fill + "a unit: --task 20ms", "> " + fill + "a unit:\n  --task 20ms\n"},
		{"two clauses", fill + "--tls-cert, --tls-key", "> " + fill + "--tls-cert,\n  --tls-key\n"},
		{"go run", fill + "try go run ./consumer", "> " + fill + "try\n  go run ./consumer\n"},
		{"compose", fill + "docker-compose run --rm lab", "> " + fill + "\n  docker-compose run --rm lab\n"},
		{"variable", fill + "now NATS_USER=x producer", "> " + fill + "now\n  NATS_USER=x producer\n"},
		{"a space to keep", fill + "the consumer" + Space + "rejects", "> " + fill + "the\n  consumer rejects\n"},
		{"a command wider than the terminal", "run " + strings.Repeat("--flag value ", 7), "> run " + strings.Repeat("--flag value ", 4) + "\n  " + strings.Repeat("--flag value ", 3) + "\n"},
		{"colour takes no columns", "\x1b[31m" + fill + "1234567890123\x1b[0m", "> \x1b[31m" + fill + "1234567890123\x1b[0m\n"},
		{"spaces stay", "two  spaces", "> two  spaces\n"},
	} {
		got := Wrap(60, "> ", "  ", c.text)
		want := strings.ReplaceAll(c.want, " \n", "\n")
		if strings.ReplaceAll(got, " \n", "\n") != want {
			t.Errorf("%s:\n%swant:\n%s", c.name, got, want)
		}
	}
}

func TestPaint(t *testing.T) {
	if got := (Paint{Colour: true}).Red("x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("red: %q", got)
	}
	if got := (Paint{}).Red("x"); got != "x" {
		t.Errorf("no colour: %q", got)
	}
	long := strings.Repeat("word ", 20) + "end"
	if got := (Paint{}).Fit("> ", "  ", long); got != "> "+long+"\n" {
		t.Errorf("not on a terminal: %q", got)
	}
	if got := (Paint{Columns: 60}).Fit("> ", "  ", long); strings.Count(got, "\n") != 2 {
		t.Errorf("on a terminal: %q", got)
	}
	for columns, want := range map[int]int{0: 100, 20: 60, 80: 80, 240: 100} {
		if got := (Paint{Columns: columns}).Width(); got != want {
			t.Errorf("%d columns: width %d, want %d", columns, got, want)
		}
	}
}
