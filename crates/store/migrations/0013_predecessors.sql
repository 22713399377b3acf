-- What a new build of a workload's image takes over from the one before.

ALTER TABLE profile ADD COLUMN predecessor TEXT;          -- JSON of haechi_core::profile::Predecessor; NULL without one

CREATE TABLE profile_carried (
    profile    INTEGER NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    kind       TEXT    NOT NULL,                          -- haechi_core::profile::Kind
    value      TEXT    NOT NULL,
    first_at   INTEGER NOT NULL,
    container  TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    program    TEXT    NOT NULL,
    PRIMARY KEY (profile, kind, value, origin)
) STRICT, WITHOUT ROWID;
