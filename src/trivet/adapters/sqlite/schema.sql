-- The newest format, whole. `migrations/` leads an older file here; a test compares the two.

-- How many write transactions there have been: what `anchors` is compared with.
CREATE TABLE counter (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    commits INTEGER NOT NULL
) STRICT;
INSERT INTO counter (id, commits) VALUES (1, 0);

-- Text that repeats: kinds, projects, actors, and indexed fields as "kind:field".
CREATE TABLE words (
    id INTEGER PRIMARY KEY,
    sort TEXT NOT NULL,
    word TEXT NOT NULL,
    UNIQUE (sort, word)
) STRICT;

-- The audit chain: one link per batch that wrote facts, with what its facts have in common.
CREATE TABLE links (
    number INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    project INTEGER NOT NULL REFERENCES words (id),
    actor INTEGER NOT NULL REFERENCES words (id),
    reason TEXT NOT NULL,
    time INTEGER NOT NULL,
    batch BLOB NOT NULL
) STRICT;

-- `salt` and `payload` are NULL once a fact was forgotten. The payload stands last, so that the
-- envelope is read without its overflow pages.
CREATE TABLE facts (
    seq INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    kind INTEGER NOT NULL REFERENCES words (id),
    project INTEGER NOT NULL REFERENCES words (id),
    link INTEGER NOT NULL REFERENCES links (number),
    digest BLOB NOT NULL,
    parents BLOB NOT NULL,
    salt BLOB,
    payload BLOB
) STRICT;
CREATE UNIQUE INDEX facts_by_id ON facts (id);
CREATE INDEX facts_by_kind ON facts (kind, project);

CREATE TABLE edges (
    parent INTEGER NOT NULL,
    child INTEGER NOT NULL,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

CREATE TABLE indexed (
    field INTEGER NOT NULL,
    value TEXT NOT NULL,
    project INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (field, value, project, seq)
) STRICT, WITHOUT ROWID;

-- Where the heads stand: a projection of the `head.moved` facts.
CREATE TABLE heads (
    project INTEGER NOT NULL,
    name TEXT NOT NULL,
    target BLOB NOT NULL,
    moved_by BLOB NOT NULL,
    PRIMARY KEY (project, name)
) STRICT, WITHOUT ROWID;

-- `ready_at` is when an open task can be taken: its due time, or the end of its lease.
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    queue TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    ready_at INTEGER NOT NULL,
    owner TEXT,
    due INTEGER,
    leased_until INTEGER,
    result BLOB,
    limit_name TEXT,
    limit_at_once INTEGER
) STRICT;
CREATE INDEX tasks_open ON tasks (queue, ready_at, number) WHERE state IN ('ready', 'running');
CREATE INDEX tasks_by_state ON tasks (queue, state, number);
CREATE INDEX tasks_limited ON tasks (limit_name, ready_at)
WHERE limit_name IS NOT NULL AND state = 'running';

CREATE TABLE inbox (
    source TEXT NOT NULL,
    key TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was declared; the rows of view `x` are in a table `view_x` of its own.
CREATE TABLE views (
    name TEXT PRIMARY KEY,
    declaration TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Documents stand in blocks of 120 of one group, and `number` says where: block * 128 + slot.
-- `attributes` and `notes` are the whole document, in MessagePack.
CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES words (id),
    id TEXT NOT NULL,
    grp INTEGER NOT NULL REFERENCES words (id),
    attributes BLOB NOT NULL,
    notes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX documents_by_id ON documents (collection, id);

-- `used` has a bit for each slot that holds a document, the lowest first.
CREATE TABLE blocks (
    number INTEGER PRIMARY KEY,
    grp INTEGER NOT NULL REFERENCES words (id),
    used BLOB NOT NULL,
    room INTEGER NOT NULL
) STRICT;
CREATE INDEX blocks_by_group ON blocks (grp);
CREATE INDEX blocks_with_room ON blocks (grp) WHERE room > 0;

-- What searches read: one attribute of all documents of a block, in columns; see `catalog_cells`.
-- `place` is block * 2**32 + the attribute's word; word 0 holds the identifiers.
CREATE TABLE cells (
    place INTEGER PRIMARY KEY,
    numbers BLOB,
    texts BLOB
) STRICT;
