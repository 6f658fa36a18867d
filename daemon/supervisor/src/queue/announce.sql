INSERT INTO jobs (name, source, recipe_file, recipe_text, fingerprint, uuid, state, created_ms, changed_ms, priority, bytes)
VALUES (?1, ?2, ?3, ?4, ?5, lower(hex(randomblob(16))), 'claiming', ?6, ?6,
        coalesce((SELECT priority FROM submitted WHERE source = ?2 AND fingerprint = ?5), ?7), ?8)
