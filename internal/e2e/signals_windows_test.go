package e2e

import "os"

// Windows can't stop a process; the scripts that do so need Unix.
var sigstop, sigcont os.Signal
