-- Failures that the site accepted from the command line; they count like the exceptions of the policy.
CREATE TABLE exception (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,            -- no number is used twice
    check_id TEXT NOT NULL,
    kind     TEXT,
    subject  TEXT NOT NULL,                                -- pattern
    reason   TEXT NOT NULL,
    owner    TEXT NOT NULL,
    expires  TEXT NOT NULL,                                -- YYYY-MM-DD, the last day
    added_s  INTEGER NOT NULL                              -- seconds since 1970
) STRICT;
