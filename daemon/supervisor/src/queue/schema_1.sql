-- The only ways of a job. Nothing else can be written, by whatever program.
CREATE TABLE transitions (
    from_state TEXT NOT NULL,
    to_state   TEXT NOT NULL,
    PRIMARY KEY (from_state, to_state)
) STRICT, WITHOUT ROWID;

INSERT INTO transitions VALUES
    ('claiming', 'queued'),        -- the drop lies in its run folder
    ('claiming', 'cancelled'),     -- its owner took it back first
    ('queued', 'running'),
    ('queued', 'paused'),
    ('queued', 'cancelled'),
    ('queued', 'done'),            -- a crash came between done.json and the database
    ('running', 'queued'),         -- stopped, crashed or lost: it continues from its checkpoint
    ('running', 'paused'),
    ('running', 'cancelled'),
    ('running', 'done'),
    ('running', 'failed'),
    ('running', 'quarantined'),
    ('paused', 'queued'),
    ('paused', 'cancelled'),
    ('failed', 'queued'),          -- retry
    ('cancelled', 'queued'),       -- retry
    ('quarantined', 'queued');     -- retry

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL,             -- the drop's own
    source        TEXT NOT NULL,             -- where the drop lay, absolute
    run           TEXT NOT NULL DEFAULT '',  -- folder below runs/
    recipe_file   TEXT,                      -- bound to the inbox when the drop came
    recipe_text   TEXT,
    fingerprint   INTEGER NOT NULL,          -- of the drop as it had settled
    state         TEXT NOT NULL REFERENCES states (name),
    phase         TEXT CHECK (phase IN ('train', 'prove')),
    pid           INTEGER,
    wanted        TEXT CHECK (wanted IN ('run', 'pause', 'cancel')),
    waiting       TEXT,                      -- what a queued job waits for, besides its turn
    not_before_ms INTEGER NOT NULL DEFAULT 0,
    reason        TEXT,                      -- why it ended, in a sentence
    attempt       INTEGER NOT NULL DEFAULT 0 CHECK (0 <= attempt),
    crashes       INTEGER NOT NULL DEFAULT 0 CHECK (0 <= crashes),
    created_ms    INTEGER NOT NULL,
    changed_ms    INTEGER NOT NULL,
    -- The facts of a state exist in that state and in no other.
    CHECK ((state = 'running') = (phase IS NOT NULL)),
    CHECK ((state = 'running') = (wanted IS NOT NULL)),
    CHECK (pid IS NULL OR state = 'running'),
    CHECK (waiting IS NULL OR state = 'queued'),
    CHECK ((state IN ('failed', 'cancelled', 'quarantined')) = (reason IS NOT NULL)),
    CHECK ((recipe_file IS NULL) = (recipe_text IS NULL))
) STRICT;

CREATE TABLE states (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
INSERT INTO states VALUES
    ('claiming'), ('queued'), ('running'), ('paused'), ('done'), ('failed'), ('cancelled'), ('quarantined');

CREATE INDEX jobs_by_state ON jobs (state, id);

CREATE TRIGGER a_job_begins_as_a_claim BEFORE INSERT ON jobs WHEN NEW.state <> 'claiming'
BEGIN SELECT RAISE(ABORT, 'illegal transition: a job begins as a claim'); END;

CREATE TRIGGER a_job_goes_a_legal_way BEFORE UPDATE OF state ON jobs
WHEN OLD.state <> NEW.state
 AND NOT EXISTS (SELECT 1 FROM transitions WHERE from_state = OLD.state AND to_state = NEW.state)
BEGIN SELECT RAISE(ABORT, 'illegal transition of a job'); END;

CREATE TRIGGER only_a_claim_is_forgotten BEFORE DELETE ON jobs WHEN OLD.state <> 'claiming'
BEGIN SELECT RAISE(ABORT, 'illegal transition: jobs are kept'); END;

-- One worker process from start to end, proof included.
CREATE TABLE attempts (
    job        INTEGER NOT NULL REFERENCES jobs (id),
    attempt    INTEGER NOT NULL CHECK (1 <= attempt),
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER,
    pid        INTEGER,                      -- of the last process
    outcome    TEXT CHECK (outcome IN ('done', 'failed', 'stopped', 'crashed', 'lost', 'postponed')),
    detail     TEXT,
    PRIMARY KEY (job, attempt),
    CHECK ((ended_ms IS NULL) = (outcome IS NULL))
) STRICT, WITHOUT ROWID;
