package stream

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run at a time than there are CPUs: the parallel ones
// are mostly waiting.
func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		if err := f.Value.Set("6"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
