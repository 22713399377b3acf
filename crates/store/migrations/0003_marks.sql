-- Which references of images were marked as unsafe, or the mark taken away, and why.
CREATE TABLE mark (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    image    TEXT NOT NULL,                                -- id of the image
    before   TEXT NOT NULL,                                -- reference that went
    after    TEXT NOT NULL,                                -- reference that came
    action   TEXT NOT NULL CHECK (action IN ('mark', 'unmark')),
    reason   TEXT NOT NULL,
    at_s     INTEGER NOT NULL                              -- seconds since 1970
) STRICT;
