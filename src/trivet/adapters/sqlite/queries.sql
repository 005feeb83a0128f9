-- Every statement by its name; `connection.QUERIES` loads them.

-- name: bump_counter
UPDATE counter SET commits = commits + 1 RETURNING commits;

-- name: counter
SELECT commits FROM counter;

-- name: word_id
SELECT id FROM words WHERE sort = ? AND word = ?;

-- name: add_word
INSERT INTO words (sort, word) VALUES (?, ?) RETURNING id;

-- name: word
SELECT word FROM words WHERE id = ?;

-- name: words_of_sort
SELECT id FROM words WHERE sort = ?;

-- ------------------------------------------------------------------ facts

-- name: last_link
SELECT number, hash, last_seq FROM links ORDER BY number DESC LIMIT 1;

-- name: link
SELECT number, hash, last_seq, batch FROM links WHERE number = ?;

-- name: add_link
INSERT INTO links (number, hash, first_seq, last_seq, project, actor, reason, time, batch)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: largest_id
SELECT max(id) FROM facts;

-- name: known_fact
SELECT kind, project, link, parents, salt, digest, payload IS NULL FROM facts WHERE id = ?;

-- name: seq_of
SELECT seq FROM facts WHERE id = ?;

-- name: add_fact
INSERT INTO facts (seq, id, kind, project, link, digest, parents, salt, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_edge
INSERT OR IGNORE INTO edges (parent, child) VALUES (?, ?);

-- name: add_indexed
INSERT INTO indexed (field, value, project, seq) VALUES (?, ?, ?, ?);

-- name: forgettable
SELECT seq, kind, project, digest, payload FROM facts WHERE id = ?;

-- name: forget
UPDATE facts SET salt = NULL, payload = NULL WHERE seq = ?;

-- name: fields_of_kind
SELECT id, word FROM words WHERE sort = 'field' AND word >= :low AND word < :high;

-- name: drop_indexed
DELETE FROM indexed WHERE field = ? AND value = ? AND project = ? AND seq = ?;

-- name: entry_by_id
SELECT f.seq, f.id, f.kind, f.project, f.digest, f.parents, l.actor, l.reason, l.time, f.payload
FROM facts AS f JOIN links AS l ON l.number = f.link WHERE f.id = ?;

-- name: entries_of
SELECT f.seq, f.id, f.kind, f.project, f.digest, f.parents, l.actor, l.reason, l.time, f.payload
FROM carray(?) AS wanted CROSS JOIN facts AS f ON f.seq = wanted.value
CROSS JOIN links AS l ON l.number = f.link;

-- name: entries_since
SELECT f.seq, f.id, f.kind, f.project, f.digest, f.parents, l.actor, l.reason, l.time, f.payload
FROM facts AS f JOIN links AS l ON l.number = f.link WHERE f.seq > ? ORDER BY f.seq LIMIT ?;

-- Searches answer with `seq` alone; each is a range of one index, read from its near end.

-- name: by_value_falling
SELECT seq FROM indexed WHERE field = :field AND value = :value AND project = :project
AND seq < :after AND (:parent IS NULL OR EXISTS (
    SELECT 1 FROM edges WHERE edges.parent = :parent AND edges.child = indexed.seq))
ORDER BY seq DESC LIMIT :limit;

-- name: by_value_rising
SELECT seq FROM indexed WHERE field = :field AND value = :value AND project = :project
AND seq > :after AND (:parent IS NULL OR EXISTS (
    SELECT 1 FROM edges WHERE edges.parent = :parent AND edges.child = indexed.seq))
ORDER BY seq LIMIT :limit;

-- name: by_parent_falling
SELECT e.child FROM edges AS e JOIN facts AS f ON f.seq = e.child
WHERE e.parent = :parent AND e.child < :after
AND (:kind IS NULL OR f.kind = :kind) AND (:project IS NULL OR f.project = :project)
ORDER BY e.child DESC LIMIT :limit;

-- name: by_parent_rising
SELECT e.child FROM edges AS e JOIN facts AS f ON f.seq = e.child
WHERE e.parent = :parent AND e.child > :after
AND (:kind IS NULL OR f.kind = :kind) AND (:project IS NULL OR f.project = :project)
ORDER BY e.child LIMIT :limit;

-- name: by_kind_falling
SELECT seq FROM facts WHERE kind = :kind AND project = :project AND seq < :after
ORDER BY seq DESC LIMIT :limit;

-- name: by_kind_rising
SELECT seq FROM facts WHERE kind = :kind AND project = :project AND seq > :after
ORDER BY seq LIMIT :limit;

-- name: all_falling
SELECT seq FROM facts WHERE seq < :after ORDER BY seq DESC LIMIT :limit;

-- name: all_rising
SELECT seq FROM facts WHERE seq > :after ORDER BY seq LIMIT :limit;

-- ------------------------------------------------------------------ heads

-- name: head
SELECT target, moved_by FROM heads WHERE project = ? AND name = ?;

-- name: heads
SELECT name, target, moved_by FROM heads
WHERE project = :project AND name >= :prefix AND substr(name, 1, length(:prefix)) = :prefix
ORDER BY name;

-- name: set_head
INSERT INTO heads (project, name, target, moved_by) VALUES (?, ?, ?, ?)
ON CONFLICT (project, name) DO UPDATE SET target = excluded.target, moved_by = excluded.moved_by;

-- name: drop_head
DELETE FROM heads WHERE project = ? AND name = ?;

-- ---------------------------------------------------------------- journal

-- name: store_task
INSERT INTO tasks (key, queue, body, state, attempts, max_attempts, epoch, ready_at, owner, due,
leased_until, result, limit_name, limit_at_once)
VALUES (:key, :queue, :body, :state, :attempts, :max_attempts, :epoch, :ready_at, :owner, :due,
:leased_until, :result, :limit_name, :limit_at_once)
ON CONFLICT (key) DO UPDATE SET state = excluded.state, attempts = excluded.attempts,
epoch = excluded.epoch, ready_at = excluded.ready_at, owner = excluded.owner, due = excluded.due,
leased_until = excluded.leased_until, result = excluded.result;

-- name: task
SELECT key, queue, body, state, attempts, max_attempts, epoch, owner, due, leased_until, result,
limit_name, limit_at_once FROM tasks WHERE key = ?;

-- name: tasks
SELECT key, queue, body, state, attempts, max_attempts, epoch, owner, due, leased_until, result,
limit_name, limit_at_once FROM tasks WHERE (:state IS NULL OR state = :state)
ORDER BY number DESC LIMIT :limit;

-- name: tasks_of_queue
SELECT key, queue, body, state, attempts, max_attempts, epoch, owner, due, leased_until, result,
limit_name, limit_at_once FROM tasks WHERE queue = :queue AND (:state IS NULL OR state = :state)
ORDER BY number DESC LIMIT :limit;

-- name: bury_exhausted
UPDATE tasks SET state = 'failed', leased_until = NULL
WHERE queue = :queue AND state IN ('ready', 'running') AND ready_at <= :now
AND attempts >= max_attempts;

-- name: claimable
SELECT key, queue, body, state, attempts, max_attempts, epoch, owner, due, leased_until, result,
limit_name, limit_at_once FROM tasks
WHERE queue = :queue AND state IN ('ready', 'running') AND ready_at <= :now
AND (limit_name IS NULL OR limit_at_once > (
    SELECT count(*) FROM tasks AS held WHERE held.limit_name = tasks.limit_name
    AND held.state = 'running' AND held.ready_at > :now))
ORDER BY ready_at, number LIMIT 1;

-- name: add_event
INSERT INTO inbox (source, key, time) VALUES (?, ?, ?) ON CONFLICT DO NOTHING RETURNING 1;

-- name: lease
SELECT owner, epoch, until FROM leases WHERE name = ?;

-- name: set_lease
INSERT INTO leases (name, owner, epoch, until) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE
SET owner = excluded.owner, epoch = excluded.epoch, until = excluded.until;

-- ------------------------------------------------------------------ views

-- name: view
SELECT declaration FROM views WHERE name = ?;

-- name: set_view
INSERT INTO views (name, declaration) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET declaration = excluded.declaration;

-- ----------------------------------------------------------------- verify

-- name: links_since
SELECT number, hash, first_seq, last_seq, project, actor, reason, time FROM links
WHERE number > ? ORDER BY number LIMIT ?;

-- name: facts_between
SELECT seq, id, kind, project, link, digest, parents, salt, payload FROM facts
WHERE seq BETWEEN ? AND ? ORDER BY seq;

-- name: has_edge
SELECT 1 FROM edges WHERE parent = ? AND child = ?;

-- name: count_edges
SELECT count(*) FROM edges;

-- name: largest_seq
SELECT coalesce(max(seq), 0) FROM facts;

-- name: indexed_rows
SELECT i.field, i.value, i.project, i.seq, f.kind, f.project, f.payload
FROM indexed AS i LEFT JOIN facts AS f ON f.seq = i.seq;

-- name: all_heads
SELECT project, name, target, moved_by FROM heads;

-- name: head_moves
SELECT f.id, f.project, f.payload FROM facts AS f
WHERE f.kind = (SELECT id FROM words WHERE sort = 'kind' AND word = 'head.moved') ORDER BY f.seq;

-- name: link_hash
SELECT hash FROM links WHERE number = ?;

-- ---------------------------------------------------------------- catalog

-- name: words_from
SELECT word FROM words WHERE sort = ? AND word >= ? ORDER BY word;

-- name: words_of_groups
SELECT w.word FROM words AS w
WHERE w.sort = ?1 AND w.word >= ?2 AND substr(w.word, 1, length(?2)) = ?2 AND EXISTS (
    SELECT 1 FROM carray(?3) AS wanted CROSS JOIN blocks AS b ON b.grp = wanted.value
    CROSS JOIN cells AS c ON c.place = (b.number << 32) + w.id
)
ORDER BY w.word;

-- name: document_by_id
SELECT number, grp, attributes, notes FROM documents WHERE collection = ? AND id = ?;

-- name: documents_at
SELECT d.id, d.grp, d.attributes, d.notes
FROM carray(?) AS wanted CROSS JOIN documents AS d ON d.number = wanted.value;

-- name: ids_at
SELECT d.id FROM carray(?) AS wanted CROSS JOIN documents AS d ON d.number = wanted.value;

-- name: put_document
INSERT INTO documents (number, collection, id, grp, attributes, notes) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (number) DO UPDATE SET attributes = excluded.attributes, notes = excluded.notes;

-- name: drop_document
DELETE FROM documents WHERE number = ?;

-- name: block
SELECT used FROM blocks WHERE number = ?;

-- name: block_with_room
SELECT number, used FROM blocks WHERE grp = ? AND room > 0 LIMIT 1;

-- name: add_block
INSERT INTO blocks (grp, used, room) VALUES (?, ?, ?) RETURNING number, used;

-- name: set_block
UPDATE blocks SET used = ?, room = ? WHERE number = ?;

-- name: blocks_of
SELECT b.number, b.used FROM carray(?) AS wanted CROSS JOIN blocks AS b ON b.grp = wanted.value;

-- name: cells_at
SELECT c.numbers, c.texts
FROM carray(?) AS wanted LEFT JOIN cells AS c ON c.place = wanted.value;

-- name: put_cell
INSERT INTO cells (place, numbers, texts) VALUES (?, ?, ?)
ON CONFLICT (place) DO UPDATE SET numbers = excluded.numbers, texts = excluded.texts;

-- name: drop_cell
DELETE FROM cells WHERE place = ?;

-- name: all_blocks
SELECT number, grp, used FROM blocks ORDER BY number;

-- name: blocks_after
SELECT number, grp, used FROM blocks WHERE number > ? ORDER BY number LIMIT ?;

-- name: documents_between
SELECT number, collection, id, grp, attributes, notes FROM documents
WHERE number >= ? AND number < ?;

-- name: cells_between
SELECT place, numbers, texts FROM cells WHERE place >= ? AND place < ?;

-- name: count_documents
SELECT (SELECT count(*) FROM documents), (SELECT count(*) FROM cells);
