-- Concurrency limits of tasks, by name.
ALTER TABLE tasks ADD COLUMN limit_name TEXT;
ALTER TABLE tasks ADD COLUMN limit_at_once INTEGER;
CREATE INDEX tasks_limited ON tasks (limit_name, ready_at)
WHERE limit_name IS NOT NULL AND state = 'running';
