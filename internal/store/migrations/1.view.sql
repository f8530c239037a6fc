-- Lets a reader use a database of version 1 as one of the current version. A
-- temporary view hides the table of its name.
CREATE TEMP VIEW reject AS
SELECT id, source, line, "column", reason, record, rejected_at, line AS last, sha256(record) AS digest FROM main.reject;
