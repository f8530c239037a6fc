// The time of a record that is not judged: to put rows in order before they
// are sent.

package mta

// When is the time of one whole record, as it stands in the file. It is not
// ok where the record can't be taken apart, or its time can't be read; a
// record that is ok may yet be a reject for something else.
func (c *Columns) When(rec []byte) (at int64, ok bool) {
	var f framer
	f.set(rec, 0, true)
	r, ok := f.next()
	if !ok || r.fault != sound || r.blank || r.size != len(rec) {
		return 0, false
	}
	rec = content(rec)
	fields := fields{rec, split(rec, nil)}
	if len(fields.ends) != c.count || !isText(rec) {
		return 0, false
	}
	at, _, problem := when(fields, c)
	return at, problem == ""
}
