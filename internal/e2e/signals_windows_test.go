package e2e

import "os"

// Windows can't hold a process: the scripts that do are for unix.
var sigstop, sigcont os.Signal
