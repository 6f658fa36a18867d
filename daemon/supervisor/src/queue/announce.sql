INSERT INTO jobs (name, source, recipe_file, recipe_text, fingerprint, state, created_ms, changed_ms)
VALUES (?1, ?2, ?3, ?4, ?5, 'claiming', ?6, ?6)
