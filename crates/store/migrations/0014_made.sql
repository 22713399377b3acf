-- Containers that were made here: only these may be stopped, renamed or removed again. A label says nothing, for anybody sets it.
CREATE TABLE made (
    token     TEXT    PRIMARY KEY,                         -- unguessable; its label until the full id is known
    is_trial  INTEGER NOT NULL,                            -- 1: runs beside another for a while; 0: in its place
    old       TEXT    NOT NULL,                            -- full id of the one that it is like
    name      TEXT    NOT NULL,                            -- under which it is made
    past      TEXT    NOT NULL,                            -- JSON of how the old one was; not read here
    made      TEXT,                                        -- full id; NULL until the engine said it
    stopping  INTEGER NOT NULL DEFAULT 0,                  -- 1: the engine was asked to stop the old one
    begun_s   INTEGER NOT NULL                             -- seconds since 1970
) STRICT;
