-- What containers of a workload were seen to do.

CREATE TABLE profile (
    id         INTEGER PRIMARY KEY,
    image      TEXT NOT NULL,                             -- sha256:…; empty if unknown
    command    TEXT NOT NULL,                             -- JSON: a list of texts
    image_name TEXT NOT NULL,
    baseline_at INTEGER,                                  -- NULL until it was settled
    UNIQUE (image, command)
) STRICT;

CREATE TABLE profile_run (
    profile    INTEGER NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    container  TEXT    NOT NULL,                          -- full id
    since      INTEGER NOT NULL,
    until      INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    body       TEXT    NOT NULL,                          -- JSON of haechi_core::profile::Run
    PRIMARY KEY (profile, container, since)
) STRICT, WITHOUT ROWID;

CREATE INDEX profile_run_container ON profile_run (container);

CREATE TABLE profile_entry (
    profile    INTEGER NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL,                          -- haechi_core::profile::Kind
    value      TEXT    NOT NULL,
    first_at   INTEGER NOT NULL,
    container  TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    program    TEXT    NOT NULL,
    PRIMARY KEY (profile, kind, value, origin)
) STRICT, WITHOUT ROWID;
