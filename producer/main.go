// Command producer reads rows from CSV files and puts them into the queue: a
// stream as it would come from the turnstiles, or a file as fast as it goes.
package main

import "turnstile/internal/cli"

func main() { cli.Main("producer", run) }
