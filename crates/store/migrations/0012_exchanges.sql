-- Containers that are to be made again with other rights when they are started next.
CREATE TABLE exchange (
    container TEXT    PRIMARY KEY,                         -- full id
    name      TEXT    NOT NULL,
    body      TEXT    NOT NULL,                            -- JSON of what is given, and how; not read here
    asked_by  TEXT    NOT NULL,
    asked_s   INTEGER NOT NULL                             -- seconds since 1970
) STRICT;
