package e2e

// The judge of a round. It reads the CSV file with encoding/csv and the database
// with SQL of its own.

import (
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// checkConfirmed copies the database of a consumer that does not run, and checks
// that all rows are in it that were confirmed until now. A crash or a power cut
// took place just before.
func (r *round) checkConfirmed() {
	folder := r.consumerMachine.path
	if r.consumerMachine.disk == nil {
		folder = r.consumerMachine.folder
	}
	lines := r.witness.confirmedLines()
	scratch, err := os.MkdirTemp(r.dir, "after-crash-")
	if err != nil {
		r.t.Error(err)
		return
	}
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(filepath.Join(folder, "rides.db"+suffix))
		if suffix == "-wal" && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(scratch, "rides.db"+suffix), data, 0o600)
		}
		if err != nil {
			r.t.Error(err)
			return
		}
	}
	db, err := openJudged(filepath.Join(scratch, "rides.db"))
	if err != nil {
		r.t.Error(err)
		return
	}
	defer db.Close()
	r.integrity(db)
	stored := map[int]bool{}
	if err := each(db, `SELECT line, ridership FROM ridership WHERE source = '`+witnessSource+`'`, func(rows *sql.Rows) error {
		var line, n int
		err := rows.Scan(&line, &n)
		stored[line] = line == n
		return err
	}); err != nil {
		r.t.Error(err)
	}
	var missing []int
	for _, line := range lines {
		if !stored[line] {
			missing = append(missing, line)
		}
	}
	if len(missing) > 0 {
		r.t.Errorf("%d of %d confirmed lines are missing after a crash, first %d, last %d", len(missing), len(lines), missing[0], missing[len(missing)-1])
	}
}

// judge checks the database at the end: by consumer verify, and by its own
// count.
func (r *round) judge() {
	if r.t.Failed() {
		return
	}
	if err := r.consumerMachine.unmount(); err != nil {
		r.t.Error(err)
		return
	}
	path := filepath.Join(r.consumerMachine.folder, "rides.db")
	files := []string{r.file}
	if r.sync == "always" {
		files = append(files, filepath.Join(r.dir, witnessSource))
	}
	r.command("consumer", append([]string{"verify", "--db", path}, files...)...)
	db, err := openJudged(path)
	if err != nil {
		r.t.Error(err)
		return
	}
	defer db.Close()
	r.integrity(db)
	r.judgeProducer(db)
	r.judgeWitness(db)
	var rides, own int
	err = errors.Join(db.QueryRow("SELECT count(*) FROM ride").Scan(&rides),
		db.QueryRow("SELECT count(*) FROM ridership WHERE source IN ('rides.csv', '"+witnessSource+"')").Scan(&own))
	if err != nil || rides != own {
		r.t.Errorf("%d rides, %d of them of the two files: %v", rides, own, err)
	}
	if r.oddSent.Load() && !r.wiped {
		var odd int
		if err := db.QueryRow("SELECT count(*) FROM reject JOIN source ON source.id = reject.source WHERE name = '(foreign)'").Scan(&odd); err != nil || odd == 0 {
			r.t.Errorf("%d rejects of odd messages: %v", odd, err)
		}
	}
}

// openJudged opens a database of a program that does not run.
func openJudged(path string) (*sql.DB, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=query_only(1)")
}

func each(db *sql.DB, query string, row func(*sql.Rows) error) error {
	rows, err := db.Query(query)
	if err != nil {
		return fmt.Errorf("%s: %w", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
	}
	return rows.Err()
}

func (r *round) integrity(db *sql.DB) {
	var result string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&result); err != nil || result != "ok" {
		r.t.Errorf("integrity_check: %s, %v", result, err)
	}
}

// A judgedRow is what the judge compares of a row.
type judgedRow struct{ station, ridership, transfers string }

// judgeProducer compares the producer's file with the database, line by line.
// The generator said which lines it spoiled: those must be rejects.
func (r *round) judgeProducer(db *sql.DB) {
	spoiled := map[int]bool{}
	for _, found := range regexp.MustCompile(`(?m)^line (\d+):`).FindAllStringSubmatch(r.flaws, -1) {
		line, err := strconv.Atoi(found[1])
		if err != nil {
			r.t.Error(err)
		}
		spoiled[line] = true
	}
	want, err := readJudged(r.file, spoiled)
	if err != nil {
		r.t.Error(err)
		return
	}
	if len(want)+len(spoiled) != campaignRows || len(spoiled) == 0 {
		r.t.Errorf("%d good and %d spoiled rows in the file, want %d in all", len(want), len(spoiled), campaignRows)
	}
	good := len(want)
	err = each(db, "SELECT line, station_complex_id, ridership, transfers FROM ridership WHERE source = 'rides.csv'", func(rows *sql.Rows) error {
		var line int
		var got judgedRow
		if err := rows.Scan(&line, &got.station, &got.ridership, &got.transfers); err != nil {
			return err
		}
		if row, ok := want[line]; !ok || row != got {
			return fmt.Errorf("line %d is %v, want %v (%v)", line, got, row, ok)
		}
		delete(want, line)
		return nil
	})
	if err != nil || len(want) > 0 {
		r.t.Errorf("%d of %d rows of the producer are missing: %v", len(want), good, err)
	}
	err = each(db, "SELECT line, last FROM reject JOIN source ON source.id = reject.source WHERE name = 'rides.csv'", func(rows *sql.Rows) error {
		var line, last int
		if err := rows.Scan(&line, &last); err != nil {
			return err
		}
		for ; line <= last; line++ {
			if !spoiled[line] {
				return fmt.Errorf("line %d is a reject, once more or wrongly", line)
			}
			delete(spoiled, line)
		}
		return nil
	})
	if err != nil || len(spoiled) > 0 {
		r.t.Errorf("%d spoiled rows are no rejects: %v", len(spoiled), err)
	}
}

// readJudged reads the rows of a file but for some lines, by their lines.
func readJudged(file string, without map[int]bool) (map[int]judgedRow, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lines := strings.SplitAfter(string(text), "\n")
	for line := range without {
		lines[line-1] = "\n"
	}
	reader := csv.NewReader(strings.NewReader(strings.Join(lines, "")))
	header, err := reader.Read()
	if err != nil {
		return nil, err
	}
	column := map[string]int{}
	for i, name := range header {
		column[name] = i
	}
	result := map[int]judgedRow{}
	for {
		record, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return result, nil
		}
		if err != nil {
			return nil, err
		}
		number := func(name string) string {
			return strings.TrimSuffix(strings.ReplaceAll(record[column[name]], ",", ""), ".0")
		}
		line, _ := reader.FieldPos(0)
		result[line] = judgedRow{record[column["station_complex_id"]], number("ridership"), number("transfers")}
	}
}

// judgeWitness counts the rows of the witness. With another sync than always a
// power cut may lose rows, and they are counted.
func (r *round) judgeWitness(db *sql.DB) {
	stored := 0
	err := each(db, "SELECT line, ridership FROM ridership WHERE source = '"+witnessSource+"'", func(rows *sql.Rows) error {
		var line, n int
		if err := rows.Scan(&line, &n); err != nil {
			return err
		}
		if line < 2 || line >= r.witness.lines || line != n {
			return fmt.Errorf("line %d has %d riders", line, n)
		}
		stored++
		return nil
	})
	if err != nil {
		r.t.Error(err)
	}
	var rejects int
	if err := db.QueryRow("SELECT count(*) FROM reject JOIN source ON source.id = reject.source WHERE name = ?", witnessSource).Scan(&rejects); err != nil || rejects != 0 {
		r.t.Errorf("%d rejects of the witness: %v", rejects, err)
	}
	r.lost = r.witness.lines - 2 - stored
	if r.lost != 0 && r.sync == "always" {
		r.t.Errorf("%d of %d acknowledged rows of the witness are missing", r.lost, r.witness.lines-2)
	}
}
