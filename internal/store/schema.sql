-- The tables of turnstile. All are STRICT: SQLite refuses a text in a column of
-- numbers.

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,                -- database: its random id; writer, writing_since: the last writer (host/pid) and its start;
                                         -- stored_up_to: a stream (by its creation) and the sequence up to which it is stored;
                                         -- inserted: how many rides, and lines of rejects, were inserted since the database was created
  value TEXT NOT NULL
) STRICT;

CREATE TABLE source (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,       -- the data set; by default the file's name
  columns    TEXT NOT NULL,              -- the first header record received for it
  first_seen TEXT NOT NULL               -- UTC
) STRICT;

CREATE TABLE station (                   -- all columns of a station; one complex has several rows, because names and coordinates changed
  id                 INTEGER PRIMARY KEY,
  station_complex_id TEXT NOT NULL,      -- text: there are TRAM1 and TRAM2
  station_complex    TEXT,               -- NULL: the file had no such column
  borough            TEXT,
  transit_mode       TEXT,
  latitude           REAL,               -- degrees
  longitude          REAL,
  georeference       TEXT
) STRICT;

-- x'' is a blob and equals no text. It keeps NULL and the empty string apart.
CREATE UNIQUE INDEX station_key ON station (
  station_complex_id, ifnull(station_complex, x''), ifnull(borough, x''), ifnull(transit_mode, x''),
  ifnull(latitude, x''), ifnull(longitude, x''), ifnull(georeference, x''));

CREATE TABLE fare (
  id                  INTEGER PRIMARY KEY,
  payment_method      TEXT,
  fare_class_category TEXT
) STRICT;

CREATE UNIQUE INDEX fare_key ON fare (ifnull(payment_method, x''), ifnull(fare_class_category, x''));

-- ride has no index but its id, and no foreign keys. An index that is not in
-- the order of insertion adds 90 % to the time of an insert, a checked reference
-- 40 %. verify compares station and fare of each row instead.
CREATE TABLE ride (
  id         INTEGER PRIMARY KEY,        -- source.id << 32 | line
  transit_at INTEGER NOT NULL,           -- seconds since 1970-01-01 00:00, both in New York wall clock time
  station    INTEGER NOT NULL,           -- station.id
  fare       INTEGER NOT NULL,           -- fare.id
  ridership  INTEGER NOT NULL CHECK (ridership >= 0),
  transfers  INTEGER CHECK (transfers >= 0)
) STRICT;

CREATE TABLE reject (
  id          INTEGER PRIMARY KEY,
  source      INTEGER NOT NULL,          -- source.id
  line        INTEGER NOT NULL,          -- in the file; of a malformed message: its stream sequence
  "column"    TEXT NOT NULL,             -- the column at fault; empty: the whole record
  reason      TEXT NOT NULL,
  record      BLOB NOT NULL,             -- as received, byte for byte
  rejected_at TEXT NOT NULL,             -- UTC
  last        INTEGER NOT NULL DEFAULT 0, -- the last of a run of lines whose records are equal; line: one record
  digest      BLOB NOT NULL DEFAULT x''  -- SHA-256 of record
) STRICT;

-- The digest, because a record of 900 KB in the index made each further reject
-- slow. Runs of equal records do not overlap.
CREATE UNIQUE INDEX reject_key ON reject (source, line, digest);

CREATE INDEX reject_run ON reject (source, line) WHERE last > line;

-- The rows as the MTA publishes them, with the data set and the line.
CREATE VIEW ridership AS
SELECT source.name AS source,
       ride.id & 0xffffffff AS line,
       datetime(ride.transit_at, 'unixepoch') AS transit_timestamp,
       date(ride.transit_at, 'unixepoch') AS transit_date,
       time(ride.transit_at, 'unixepoch') AS transit_time,
       station.transit_mode, station.station_complex_id, station.station_complex, station.borough,
       fare.payment_method, fare.fare_class_category,
       ride.ridership, ride.transfers,
       station.latitude, station.longitude, station.georeference
  FROM ride
  JOIN source ON source.id = ride.id >> 32
  JOIN station ON station.id = ride.station
  JOIN fare ON fare.id = ride.fare;
