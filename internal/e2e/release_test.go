package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestRelease makes the archive of this platform twice: its bytes are the same, its
// checksum is right, and its commands know their version.
func TestRelease(t *testing.T) {
	if os.Getenv("CI") != "true" {
		t.Skip("NOT RUN: .ci/release builds the commands anew, which takes a minute; CI=true does")
	}
	const version = "v0.0.1-test"
	var made [2][]byte
	for i := range made {
		dir := t.TempDir()
		cmd := exec.Command(filepath.Join(root, ".ci", "release"), version, dir)
		cmd.Env = append(os.Environ(), "PLATFORMS=linux/amd64")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		archive := filepath.Join(dir, "turnstile-"+version+"-linux-amd64.tar.gz")
		var err error
		if made[i], err = os.ReadFile(archive); err != nil {
			t.Fatal(err)
		}
		unpack := exec.Command("sh", "-c", "sha256sum -c SHA256SUMS && tar xzf "+archive+" --strip-components=1")
		unpack.Dir = dir
		if out, err := unpack.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, command := range []string{"broker", "producer", "consumer", "contention"} {
			out, err := exec.Command(filepath.Join(dir, command), "--version").Output()
			if err != nil || !strings.HasPrefix(string(out), "turnstile "+version+" ") {
				t.Errorf("%s --version: %s, %v", command, out, err)
			}
		}
	}
	if !bytes.Equal(made[0], made[1]) {
		t.Error("two runs made different archives")
	}
	if out, err := exec.Command(filepath.Join(root, ".ci", "release"), "1.2").CombinedOutput(); err == nil || !strings.Contains(string(out), "usage") {
		t.Errorf("a version without v: %s", out)
	}
}
