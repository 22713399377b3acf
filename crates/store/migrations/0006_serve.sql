-- Who may use the dashboard, what proves who somebody is, and who did what. Times are nanoseconds since 1970.

CREATE TABLE account (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,         -- a name that is used again is another account
    name        TEXT    NOT NULL COLLATE NOCASE UNIQUE,
    role        TEXT    NOT NULL,
    password    TEXT    NOT NULL,                          -- PHC string (argon2id)
    must_change INTEGER NOT NULL CHECK (must_change IN (0, 1)),
    locked      INTEGER NOT NULL CHECK (locked IN (0, 1)),
    last_login  INTEGER
) STRICT;

-- From where somebody logged in: wrong passwords from elsewhere do not keep them waiting.
CREATE TABLE login_address (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    PRIMARY KEY (account, address)
) STRICT, WITHOUT ROWID;

-- Only hashes of secrets are kept: who reads this table cannot use them.
CREATE TABLE session (
    secret  BLOB    PRIMARY KEY,                           -- SHA-256
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    address TEXT    NOT NULL,
    begun   INTEGER NOT NULL,
    used    INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_account ON session (account, used);
CREATE INDEX session_expires ON session (expires);

CREATE TABLE token (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    secret  BLOB    NOT NULL UNIQUE,                       -- SHA-256
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name    TEXT    NOT NULL,
    scope   TEXT    NOT NULL,
    expires INTEGER NOT NULL,
    used    INTEGER
) STRICT;

CREATE INDEX token_account ON token (account);

-- The chain of crates/audit. What an account's tokens did is found with what the account did.
CREATE TABLE audit (
    number  INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    address TEXT    NOT NULL,
    action  TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    outcome TEXT    NOT NULL,
    detail  TEXT    NOT NULL,
    hash    BLOB    NOT NULL,
    account TEXT    COLLATE NOCASE GENERATED ALWAYS AS (
        CASE WHEN actor GLOB 'token * of *' THEN substr(actor, instr(actor, ' of ') + 4) ELSE actor END
    ) VIRTUAL
) STRICT;

CREATE INDEX audit_account ON audit (account, number);

-- Against mistakes; against intent there is the chain.
CREATE TRIGGER audit_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER audit_removed BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;

CREATE TABLE checkpoint (
    number    INTEGER PRIMARY KEY,
    hash      BLOB    NOT NULL,
    at        INTEGER NOT NULL,
    signature TEXT    NOT NULL
) STRICT;
