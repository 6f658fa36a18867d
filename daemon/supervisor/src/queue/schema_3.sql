-- The more important first; recipes and owners say so.
ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- Of the drop's files as it had settled; 0 in rows of before.
ALTER TABLE jobs ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
-- The folder that the drop lay in.
ALTER TABLE jobs ADD COLUMN inbox TEXT AS (rtrim(rtrim(source, replace(source, '/', '')), '/')) VIRTUAL;

CREATE INDEX jobs_due ON jobs (state, copied, not_before_ms, priority DESC, id, inbox);
CREATE INDEX jobs_by_load ON jobs (state, inbox, bytes);
-- Jobs to be copied are found by jobs_due as well.
DROP INDEX jobs_to_copy;

-- What owners have submitted and the daemon has not yet taken: which priority it shall have.
CREATE TABLE submitted (
    source       TEXT NOT NULL,
    fingerprint  INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    submitted_ms INTEGER NOT NULL,
    PRIMARY KEY (source, fingerprint)
) STRICT, WITHOUT ROWID;
