-- A reject is found by the digest of its record, and may stand for a run of
-- lines. The columns are added to the table, and the table is not replaced: the
-- triggers and indexes of its user would be lost with it.
ALTER TABLE reject ADD COLUMN last INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reject ADD COLUMN digest BLOB NOT NULL DEFAULT x'';
UPDATE reject SET last = line, digest = sha256(record);
DROP INDEX reject_key;
CREATE UNIQUE INDEX reject_key ON reject (source, line, digest);
CREATE INDEX reject_run ON reject (source, line) WHERE last > line;
