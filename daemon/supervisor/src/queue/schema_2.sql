-- Who a job is, as job.json in its run folder says too: numbers may be given again when a database
-- is lost, this is not. Absent in rows of 0.1.0.
ALTER TABLE jobs ADD COLUMN uuid TEXT;
CREATE UNIQUE INDEX jobs_by_uuid ON jobs (uuid);

-- What remains in the inbox of a drop that could not be moved: under a hidden name until the job is
-- over, or left where it is.
ALTER TABLE jobs ADD COLUMN original TEXT CHECK (original IN ('hidden', 'left'));
-- 0: the drop has still to be copied from its original.
ALTER TABLE jobs ADD COLUMN copied INTEGER NOT NULL DEFAULT 1 CHECK (copied IN (0, 1));

CREATE INDEX jobs_by_original ON jobs (original, source) WHERE original IS NOT NULL;
CREATE INDEX jobs_to_copy ON jobs (state, id) WHERE copied = 0;

INSERT INTO transitions VALUES
    ('queued', 'failed');          -- its run folder is another job's, or says that it failed

-- `finetuned remove` and retention forget jobs that are over.
DROP TRIGGER only_a_claim_is_forgotten;
CREATE TRIGGER what_is_not_over_is_not_forgotten BEFORE DELETE ON jobs
WHEN OLD.state IN ('queued', 'running', 'paused')
BEGIN SELECT RAISE(ABORT, 'illegal transition: a job that is not over is kept'); END;
