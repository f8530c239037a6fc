// Command ownprogram sends rows as a program of your own may: README quotes it, and
// the script ownprogram.txtar runs it.
package main

import (
	"cmp"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
)

func main() {
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	for _, subject := range []string{"mta.ridership.mine", "mta.now.mine"} { // queue it; store it
		row := nats.NewMsg(subject)
		row.Header.Set("Turnstile-Source", "mine")
		row.Header.Set("Turnstile-Line", "3")
		row.Header.Set("Turnstile-Columns", "transit_timestamp,station_complex_id,ridership")
		row.Data = []byte("02/01/2022 06:00:00 AM,445,6")
		answer, err := nc.RequestMsg(row, 5*time.Second) // after an error, send the row again
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(string(answer.Data)) // {"error":...} if it was refused
	}
}
