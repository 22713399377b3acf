-- What the pages show of a host beside its findings: containers, images and what is at risk, as the last verification with
-- a benchmark saw them. Replaced as a whole; what comes first is the highest rank, then the greatest id.

CREATE TABLE inventory (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    host         TEXT    NOT NULL,
    benchmark    TEXT    NOT NULL,
    verification INTEGER NOT NULL,
    taken_at     TEXT    NOT NULL,                         -- RFC 3339, UTC
    containers   INTEGER NOT NULL,
    images       INTEGER NOT NULL,
    risks        INTEGER NOT NULL,
    UNIQUE (host, benchmark)
) STRICT;

CREATE TABLE kept_container (
    inventory INTEGER NOT NULL REFERENCES inventory (id) ON DELETE CASCADE,
    id        TEXT    NOT NULL,                            -- full id
    rank      REAL    NOT NULL,
    running   INTEGER,                                     -- absent: not known
    name      TEXT    NOT NULL,
    image     TEXT    NOT NULL,
    image_id  TEXT    NOT NULL,
    body      TEXT    NOT NULL,                            -- JSON: ContainerKept
    PRIMARY KEY (inventory, id)
) STRICT, WITHOUT ROWID;

-- Each has what a filter looks at, so that only rows that are shown are read whole.
CREATE INDEX kept_container_rank ON kept_container (inventory, rank, id, running, name, image);
CREATE INDEX kept_container_running ON kept_container (inventory, running, rank, id, name, image);
CREATE INDEX kept_container_image ON kept_container (inventory, image_id, rank, id);

CREATE TABLE kept_image (
    inventory INTEGER NOT NULL REFERENCES inventory (id) ON DELETE CASCADE,
    id        TEXT    NOT NULL,
    rank      REAL    NOT NULL,
    safety    TEXT,                                        -- absent: not scanned
    names     TEXT    NOT NULL,                            -- references, a line each
    short     TEXT    NOT NULL,                            -- JSON: ImageKept without its long lists
    body      TEXT    NOT NULL,                            -- JSON: ImageKept
    PRIMARY KEY (inventory, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX kept_image_rank ON kept_image (inventory, rank, id, safety, names);
CREATE INDEX kept_image_safety ON kept_image (inventory, safety, rank, id, names);

CREATE TABLE risk (
    inventory INTEGER NOT NULL REFERENCES inventory (id) ON DELETE CASCADE,
    n         INTEGER NOT NULL,                            -- place, the highest rank first
    area      TEXT    NOT NULL,
    body      TEXT    NOT NULL,                            -- JSON: RiskKept
    PRIMARY KEY (inventory, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX risk_area ON risk (inventory, area, n);

-- The last report about each image that is still there. What an image holds does not change: if a new report says the
-- same, only its head is written.
CREATE TABLE image_report (
    n      INTEGER PRIMARY KEY AUTOINCREMENT,
    host   TEXT    NOT NULL,
    image  TEXT    NOT NULL,                               -- id
    digest BLOB    NOT NULL,                               -- SHA-256 of the body before it was compressed
    head   TEXT    NOT NULL,                               -- JSON: when, by what, from which data
    body   BLOB    NOT NULL,                               -- JSON, compressed (zstd)
    UNIQUE (host, image)
) STRICT;

-- Its vulnerabilities, in the order of the report.
CREATE TABLE flaw (
    report        INTEGER NOT NULL REFERENCES image_report (n) ON DELETE CASCADE,
    n             INTEGER NOT NULL,
    vulnerability TEXT    NOT NULL COLLATE NOCASE,
    package       TEXT    NOT NULL COLLATE NOCASE,
    installed     TEXT    NOT NULL,
    fixed         TEXT    NOT NULL,
    command       TEXT    NOT NULL,
    rating        TEXT    NOT NULL,
    score         REAL,
    exploited     INTEGER NOT NULL CHECK (exploited IN (0, 1)),
    epss          REAL,
    rank          REAL    NOT NULL,
    PRIMARY KEY (report, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX flaw_vulnerability ON flaw (vulnerability, report);
CREATE INDEX flaw_package ON flaw (package, report);
