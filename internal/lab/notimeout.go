package lab

// no-timeout is direct with SQLite's own default: a busy timeout of 0. Who
// finds the file locked has "database is locked" at once.
var _ = register(Strategy{
	Rank: 2, Name: "no-timeout",
	Does:    "direct with SQLite's own busy timeout, 0: who finds the lock taken gives up at once",
	Where:   "between INSERT and COMMIT",
	Journal: "delete", Locked: true, NoTimeout: true,

	start: startDirect,
})
