-- Every verification, with everything that was decided, and what Haechi remembers beside it.
-- A migration that was released is never edited: the next change is the next file.

-- Newest is the greatest id: clocks jump, ids do not. AUTOINCREMENT, so that no id is used twice.
CREATE TABLE verification (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    host           TEXT    NOT NULL,                       -- host.name of the report
    benchmark      TEXT    NOT NULL,
    taken_at       TEXT    NOT NULL,                       -- RFC 3339, UTC
    taken_s        INTEGER NOT NULL,                       -- the same, seconds since 1970
    haechi_version TEXT    NOT NULL,
    policy         TEXT    NOT NULL,                       -- path, or `defaults`
    complete       INTEGER NOT NULL CHECK (complete IN (0, 1)),
    containers     INTEGER NOT NULL,                       -- -1 if unknown
    score_total    REAL,                                   -- absent if no check applied
    score          TEXT    NOT NULL,                       -- JSON: Score
    summary        TEXT    NOT NULL,                       -- JSON: Summary
    host_line      TEXT    NOT NULL,                       -- JSON: HostLine
    findings       INTEGER NOT NULL                        -- how many rows of `finding` belong to it
) STRICT;

CREATE INDEX verification_of ON verification (host, benchmark, id);

-- The findings of a verification, each once.
CREATE TABLE finding (
    verification INTEGER NOT NULL REFERENCES verification (id) ON DELETE CASCADE,
    n            INTEGER NOT NULL,                         -- place in the report
    check_id     TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    subject_id   TEXT    NOT NULL,
    area         TEXT    NOT NULL,
    severity     TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    cause        TEXT,
    seen         TEXT    NOT NULL,                         -- JSON: list of texts
    PRIMARY KEY (verification, n)
) STRICT, WITHOUT ROWID;

-- Random keys of this data directory.
CREATE TABLE secret (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

-- When each unlock key (as a keyed hash) of a swarm was seen first.
CREATE TABLE unlock_key (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    cluster    TEXT    NOT NULL,
    hash       TEXT    NOT NULL,
    host       TEXT    NOT NULL,                           -- who saw it first
    first_seen INTEGER NOT NULL,                           -- seconds since 1970
    UNIQUE (cluster, hash)
) STRICT;
