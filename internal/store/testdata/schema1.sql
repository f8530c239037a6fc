-- The tables of turnstile. Every one is STRICT: SQLite refuses a text where a
-- number belongs.

CREATE TABLE meta (
  name  TEXT PRIMARY KEY,                -- database: this database's id; writer, writing_since: who wrote last
  value TEXT NOT NULL
) STRICT;

CREATE TABLE source (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,       -- the data set; by default the file's name
  columns    TEXT NOT NULL,              -- the header record it came with first
  first_seen TEXT NOT NULL               -- UTC
) STRICT;

CREATE TABLE station (                   -- what rows say of a station, as a whole; one complex has several over the years
  id                 INTEGER PRIMARY KEY,
  station_complex_id TEXT NOT NULL,      -- text: there are TRAM1 and TRAM2
  station_complex    TEXT,               -- NULL: the file had no such column
  borough            TEXT,
  transit_mode       TEXT,
  latitude           REAL,               -- degrees
  longitude          REAL,
  georeference       TEXT
) STRICT;

-- x'' is a blob and equals no text: NULL and the empty string stay apart.
CREATE UNIQUE INDEX station_key ON station (
  station_complex_id, ifnull(station_complex, x''), ifnull(borough, x''), ifnull(transit_mode, x''),
  ifnull(latitude, x''), ifnull(longitude, x''), ifnull(georeference, x''));

CREATE TABLE fare (
  id                  INTEGER PRIMARY KEY,
  payment_method      TEXT,
  fare_class_category TEXT
) STRICT;

CREATE UNIQUE INDEX fare_key ON fare (ifnull(payment_method, x''), ifnull(fare_class_category, x''));

-- No index and no foreign key but the row's own name: an index that is not in
-- the order of insertion costs 90 %, a checked reference 40 %. Verify looks
-- each row up with its station and fare instead.
CREATE TABLE ride (
  id         INTEGER PRIMARY KEY,        -- source.id << 32 | line
  transit_at INTEGER NOT NULL,           -- seconds since 1970-01-01 00:00 on a New York wall clock, no zone
  station    INTEGER NOT NULL,           -- station.id
  fare       INTEGER NOT NULL,           -- fare.id
  ridership  INTEGER NOT NULL CHECK (ridership >= 0),
  transfers  INTEGER CHECK (transfers >= 0)
) STRICT;

CREATE TABLE reject (
  id          INTEGER PRIMARY KEY,
  source      INTEGER NOT NULL,          -- source.id
  line        INTEGER NOT NULL,          -- in the file; for a foreign message its sequence in the stream
  "column"    TEXT NOT NULL,             -- at fault; empty: the record as a whole
  reason      TEXT NOT NULL,
  record      BLOB NOT NULL,             -- as it came, byte for byte
  rejected_at TEXT NOT NULL              -- UTC
) STRICT;

CREATE UNIQUE INDEX reject_key ON reject (source, line, record);

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
