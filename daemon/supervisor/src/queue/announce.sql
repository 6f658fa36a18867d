INSERT INTO jobs (name, source, recipe_file, recipe_text, fingerprint, uuid, state, created_ms, changed_ms)
VALUES (?1, ?2, ?3, ?4, ?5, lower(hex(randomblob(16))), 'claiming', ?6, ?6)
