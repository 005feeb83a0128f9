-- Documents that are found by conditions.
CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES words (id),
    id TEXT NOT NULL,
    grp INTEGER NOT NULL REFERENCES words (id),
    attributes BLOB NOT NULL,
    notes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX documents_by_id ON documents (collection, id);

CREATE TABLE blocks (
    number INTEGER PRIMARY KEY,
    grp INTEGER NOT NULL REFERENCES words (id),
    used BLOB NOT NULL,
    room INTEGER NOT NULL
) STRICT;
CREATE INDEX blocks_by_group ON blocks (grp);
CREATE INDEX blocks_with_room ON blocks (grp) WHERE room > 0;

CREATE TABLE cells (
    place INTEGER PRIMARY KEY,
    numbers BLOB,
    texts BLOB
) STRICT;
