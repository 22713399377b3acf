-- Containers that ran beside another for a while, to try a profile out: nobody's own.
CREATE TABLE trial (
    container TEXT PRIMARY KEY                             -- full id
) STRICT, WITHOUT ROWID;

-- Stretches of profiles that were forgotten. Whoever watches one goes on with it, and does not tell again what was used before.
CREATE TABLE profile_forgotten (
    container TEXT    NOT NULL,                            -- full id
    since     INTEGER NOT NULL,
    until     INTEGER NOT NULL,                            -- what was told until then is gone
    PRIMARY KEY (container, since)
) STRICT, WITHOUT ROWID;
