-- What profiles allow, where that is in force, and what was refused.

CREATE TABLE profile_enforce (
    profile    INTEGER PRIMARY KEY REFERENCES profile (id) ON DELETE CASCADE,
    mode       TEXT    NOT NULL,                          -- haechi_core::allowance::Mode
    files      INTEGER NOT NULL,                          -- 1: also what may be written
    since      INTEGER NOT NULL,
    actor      TEXT    NOT NULL
) STRICT;

-- One row for each thing that a profile does not have.
CREATE TABLE profile_refused (
    profile    INTEGER NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    mode       TEXT    NOT NULL,
    because    TEXT    NOT NULL,                          -- not-allowed, replaced, written
    value      TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    container  TEXT    NOT NULL,                          -- full id of the first
    first_at   INTEGER NOT NULL,
    last_at    INTEGER NOT NULL,
    times      INTEGER NOT NULL,
    PRIMARY KEY (profile, mode, because, value, origin)
) STRICT, WITHOUT ROWID;

-- Which monitor does it, renewed as long as it does.
CREATE TABLE profile_guard (
    profile    INTEGER PRIMARY KEY REFERENCES profile (id) ON DELETE CASCADE,
    mode       TEXT    NOT NULL,
    files      INTEGER NOT NULL,
    tier       TEXT    NOT NULL,                          -- lsm, fanotify
    containers INTEGER NOT NULL,
    problem    TEXT    NOT NULL,
    since      INTEGER NOT NULL,
    at         INTEGER NOT NULL
) STRICT;
