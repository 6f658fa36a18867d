INSERT INTO jobs (id, name, source, run, recipe_file, recipe_text, fingerprint, uuid, original, copied, state, created_ms, changed_ms)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'claiming', ?11, ?11)
