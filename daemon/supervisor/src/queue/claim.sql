UPDATE jobs
SET state = 'running', phase = ?2, wanted = 'run', waiting = NULL, attempt = attempt + 1, changed_ms = ?3
WHERE id = (SELECT id FROM jobs WHERE id = ?1 AND state = 'queued')
RETURNING attempt
