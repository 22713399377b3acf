-- What the monitor keeps: alerts, what was done about them, activity of the engine, and how long containers were watched.
-- Times are nanoseconds since 1970. Newest first is by time and then by number; every index holds both.

CREATE TABLE alert (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    at        INTEGER NOT NULL,
    rule      TEXT    NOT NULL,
    priority  INTEGER NOT NULL,                            -- 0 emergency … 7 debug
    container TEXT    NOT NULL,                            -- full id
    name      TEXT    NOT NULL,                            -- of the container
    checks    TEXT    NOT NULL,                            -- ids, sorted, a space between
    body      TEXT    NOT NULL                             -- JSON: Alert
) STRICT;

CREATE INDEX alert_at ON alert (at, id, priority);
CREATE INDEX alert_rule ON alert (rule, at, id, priority);
CREATE INDEX alert_name ON alert (name, at, id, priority);
CREATE INDEX alert_container ON alert (container, at, id, priority, rule, checks);

-- Which alerts are evidence for a check.
CREATE TABLE alert_check (
    check_id TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    alert    INTEGER NOT NULL REFERENCES alert (id) ON DELETE CASCADE,
    PRIMARY KEY (check_id, at, alert)
) STRICT, WITHOUT ROWID;

CREATE INDEX alert_check_alert ON alert_check (alert);

CREATE TABLE action (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    alert     INTEGER REFERENCES alert (id) ON DELETE SET NULL,
    at        INTEGER NOT NULL,
    rule      TEXT    NOT NULL,
    response  TEXT    NOT NULL,
    outcome   TEXT    NOT NULL,
    container TEXT    NOT NULL,
    name      TEXT    NOT NULL,
    open      INTEGER NOT NULL CHECK (open IN (0, 1)),     -- lasts until it is ended
    body      TEXT    NOT NULL                             -- JSON: Action
) STRICT;

CREATE INDEX action_at ON action (at, id);
CREATE INDEX action_rule ON action (rule, at, id);
CREATE INDEX action_name ON action (name, at, id);
CREATE INDEX action_container ON action (container, at, id);
CREATE INDEX action_alert ON action (alert);
CREATE INDEX action_open ON action (id) WHERE open = 1;

CREATE TABLE activity (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    action TEXT    NOT NULL,
    thing  TEXT    NOT NULL,                               -- id of the container, image …
    name   TEXT    NOT NULL,
    exec   TEXT    NOT NULL,                               -- id of the exec call, or empty
    told   INTEGER NOT NULL CHECK (told IN (0, 1)),        -- whether the engine told all of the exec call
    body   TEXT    NOT NULL,                               -- JSON: Activity
    UNIQUE (at, action, thing, exec)                       -- what is told twice is kept once
) STRICT;

CREATE INDEX activity_action ON activity (action, at, id);
CREATE INDEX activity_name ON activity (name, at, id);
CREATE INDEX activity_thing ON activity (thing, at, id, action);

-- The present stretch of each container.
CREATE TABLE watch (
    container       TEXT    PRIMARY KEY,                   -- full id
    since           INTEGER NOT NULL,
    from_start      INTEGER NOT NULL CHECK (from_start IN (0, 1)),
    until           INTEGER NOT NULL,
    lost            INTEGER NOT NULL,
    activity_missed INTEGER NOT NULL CHECK (activity_missed IN (0, 1))
) STRICT, WITHOUT ROWID;
