-- Back to where its owner wants it: the wish is read in the same statement, so none is lost.
UPDATE jobs
SET state         = CASE wanted WHEN 'pause' THEN 'paused' WHEN 'cancel' THEN 'cancelled' ELSE 'queued' END,
    reason        = CASE wanted WHEN 'cancel' THEN 'cancelled by its owner' END,
    waiting       = CASE wanted WHEN 'run' THEN ?2 END,
    not_before_ms = ?3,
    crashes       = crashes + ?4,
    phase = NULL, pid = NULL, wanted = NULL, changed_ms = ?5
WHERE id = ?1 AND state = 'running'
