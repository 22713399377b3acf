-- The first baseline of a profile: what came later and is known was learned on purpose.
ALTER TABLE profile ADD COLUMN ruled_at INTEGER;           -- nanoseconds since 1970; NULL: nothing was learned on purpose
