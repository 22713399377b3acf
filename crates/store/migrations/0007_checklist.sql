-- What pages ask of a verification: details of its findings, since when each is open, counts by check, and how each item
-- was decided. Moments are seconds since 1970.

-- Details are of the newest verification of a host and benchmark only, so that the database does not grow by them; only
-- there are findings looked for by check and by subject.
ALTER TABLE finding ADD COLUMN since_s INTEGER;            -- absent: as it should be, or of before this column
ALTER TABLE finding ADD COLUMN detail  TEXT;               -- JSON: reason, fix, sources; absent if there is none of them
ALTER TABLE finding ADD COLUMN newest  INTEGER NOT NULL DEFAULT 0 CHECK (newest IN (0, 1));

UPDATE finding SET newest = 1
WHERE verification IN (SELECT max(id) FROM verification GROUP BY host, benchmark);

CREATE INDEX finding_of_check ON finding (verification, check_id, status, name, n, kind) WHERE newest = 1;
CREATE INDEX finding_of_subject ON finding (verification, kind, subject_id) WHERE newest = 1;

-- Findings of a verification by check and status: what pages add up instead of counting.
CREATE TABLE tally (
    verification   INTEGER NOT NULL REFERENCES verification (id) ON DELETE CASCADE,
    check_id       TEXT    NOT NULL,
    area           TEXT    NOT NULL,
    severity       TEXT    NOT NULL,
    pass           INTEGER NOT NULL,
    fail           INTEGER NOT NULL,
    excepted       INTEGER NOT NULL,
    unverified     INTEGER NOT NULL,
    not_applicable INTEGER NOT NULL,
    defaults       TEXT    NOT NULL,                       -- JSON: keys of the policy left at their default
    PRIMARY KEY (verification, check_id)
) STRICT, WITHOUT ROWID;

-- How each item of the benchmark was decided.
CREATE TABLE item (
    verification INTEGER NOT NULL REFERENCES verification (id) ON DELETE CASCADE,
    item         TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    since_s      INTEGER,                                  -- since when it is not as it should be
    PRIMARY KEY (verification, item)
) STRICT, WITHOUT ROWID;

CREATE INDEX verification_of_benchmark ON verification (benchmark, id);
CREATE INDEX verification_taken ON verification (host, benchmark, taken_s);

-- An exception that was taken back stays on record: it counted until then.
ALTER TABLE exception ADD COLUMN withdrawn_s INTEGER;
