-- Work that takes longer than an answer may, and one order of everything that is new, for pages that are alive.

CREATE TABLE job (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    by      TEXT    NOT NULL,                              -- account, or empty
    state   TEXT    NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed')),
    done    INTEGER NOT NULL,
    total   INTEGER NOT NULL,                              -- 0: not known
    problem TEXT,
    since   INTEGER NOT NULL,                              -- nanoseconds since 1970
    ended   INTEGER
) STRICT;

CREATE INDEX job_open ON job (id) WHERE state IN ('waiting', 'running');

-- Numbers only grow and none is used twice, so whoever has seen up to one has missed nothing before it.
CREATE TABLE change (
    n    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT    NOT NULL,
    id   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER alert_came AFTER INSERT ON alert BEGIN
    INSERT INTO change (kind, id) VALUES ('alert', NEW.id);
END;
CREATE TRIGGER action_came AFTER INSERT ON action BEGIN
    INSERT INTO change (kind, id) VALUES ('action', NEW.id);
END;
CREATE TRIGGER action_went_on AFTER UPDATE OF body ON action BEGIN
    INSERT INTO change (kind, id) VALUES ('action', NEW.id);
END;
CREATE TRIGGER job_came AFTER INSERT ON job BEGIN
    INSERT INTO change (kind, id) VALUES ('job', NEW.id);
END;
CREATE TRIGGER job_went_on AFTER UPDATE ON job BEGIN
    INSERT INTO change (kind, id) VALUES ('job', NEW.id);
END;
CREATE TRIGGER verification_came AFTER INSERT ON verification BEGIN
    INSERT INTO change (kind, id) VALUES ('verification', NEW.id);
END;

-- Whoever was away for longer than this looks at the whole page again.
CREATE TRIGGER change_forgotten AFTER INSERT ON change WHEN NEW.n % 1000 = 0 BEGIN
    DELETE FROM change WHERE n <= NEW.n - 100000;
END;
