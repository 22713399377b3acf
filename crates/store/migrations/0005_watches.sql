-- All stretches in which a container was watched, not only the last: what was lost in an earlier one is not forgotten
-- because the monitor was started again.

CREATE TABLE watch_each (
    container       TEXT    NOT NULL,                      -- full id
    since           INTEGER NOT NULL,
    from_start      INTEGER NOT NULL CHECK (from_start IN (0, 1)),
    until           INTEGER NOT NULL,
    lost            INTEGER NOT NULL,                      -- events, and alerts that are not on record
    activity_missed INTEGER NOT NULL CHECK (activity_missed IN (0, 1)),
    PRIMARY KEY (container, since)
) STRICT, WITHOUT ROWID;

INSERT INTO watch_each SELECT container, since, from_start, until, lost, activity_missed FROM watch;
DROP TABLE watch;
ALTER TABLE watch_each RENAME TO watch;
