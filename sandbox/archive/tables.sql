-- The archive's tables. Everything that a request changes is changed in one transaction.

CREATE TABLE IF NOT EXISTS site (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sequence (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS burnt_project (id TEXT PRIMARY KEY);

CREATE TABLE IF NOT EXISTS user (
    login TEXT PRIMARY KEY,
    password TEXT NOT NULL,            -- scrypt, with its salt
    firstname TEXT NOT NULL DEFAULT '',
    lastname TEXT NOT NULL DEFAULT '',
    email TEXT NOT NULL DEFAULT '',
    is_admin INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS web_session (
    token TEXT PRIMARY KEY,
    login TEXT NOT NULL REFERENCES user ON DELETE CASCADE,
    last_used REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS alias_token (
    alias TEXT PRIMARY KEY,
    secret TEXT NOT NULL,
    login TEXT NOT NULL REFERENCES user ON DELETE CASCADE,
    expires REAL NOT NULL
);
-- role: Owners, Members or Collaborators
CREATE TABLE IF NOT EXISTS member (
    project TEXT NOT NULL,
    login TEXT NOT NULL REFERENCES user ON DELETE CASCADE,
    role TEXT NOT NULL,
    PRIMARY KEY (project, login)
);

-- kind: project, subject, experiment, scan, assessor, reconstruction
CREATE TABLE IF NOT EXISTS item (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    label TEXT NOT NULL COLLATE NOCASE,
    xsi_type TEXT NOT NULL,
    project TEXT NOT NULL,             -- ID of the project that owns it
    parent INTEGER REFERENCES item ON DELETE CASCADE,
    insert_date TEXT NOT NULL,
    insert_user TEXT NOT NULL,
    last_modified TEXT NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS item_id ON item (id) WHERE kind NOT IN ('scan', 'reconstruction');
CREATE UNIQUE INDEX IF NOT EXISTS item_child_id ON item (parent, kind, id)
    WHERE kind IN ('scan', 'reconstruction');
CREATE UNIQUE INDEX IF NOT EXISTS subject_label ON item (project, label) WHERE kind = 'subject';
CREATE UNIQUE INDEX IF NOT EXISTS experiment_label ON item (project, label)
    WHERE kind IN ('experiment', 'assessor');
CREATE INDEX IF NOT EXISTS item_parent ON item (parent, kind);
CREATE INDEX IF NOT EXISTS item_project ON item (project, kind);

-- path: element path below the type, such as date, demographics/gender,
-- fields/field[name=dose]/field; as first written, compared without case
CREATE TABLE IF NOT EXISTS field (
    item INTEGER NOT NULL REFERENCES item ON DELETE CASCADE,
    path TEXT NOT NULL COLLATE NOCASE,
    value TEXT NOT NULL,
    PRIMARY KEY (item, path)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS field_path ON field (path, value);
CREATE TABLE IF NOT EXISTS custom_field (
    item INTEGER NOT NULL REFERENCES item ON DELETE CASCADE,
    name TEXT NOT NULL,
    value TEXT NOT NULL,               -- JSON
    PRIMARY KEY (item, name)
);
CREATE TABLE IF NOT EXISTS share (
    item INTEGER NOT NULL REFERENCES item ON DELETE CASCADE,
    project TEXT NOT NULL,
    label TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (item, project)
);
-- XML documents that are kept whole: protocols of a project, archive specification, forms
CREATE TABLE IF NOT EXISTS document (
    owner TEXT NOT NULL,               -- project ID, or '' for the site
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (owner, kind, name)
);

CREATE TABLE IF NOT EXISTS resource (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    item INTEGER NOT NULL REFERENCES item ON DELETE CASCADE,
    side TEXT NOT NULL DEFAULT '',     -- '', 'in' or 'out'
    label TEXT NOT NULL,
    format TEXT NOT NULL DEFAULT '',
    content TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    UNIQUE (item, side, label)
);

-- How many files of a resource were not in the store when they were counted last.
CREATE TABLE IF NOT EXISTS lost (
    resource INTEGER PRIMARY KEY REFERENCES resource (pk) ON DELETE CASCADE,
    files INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS file (
    resource INTEGER NOT NULL REFERENCES resource ON DELETE CASCADE,
    path TEXT NOT NULL,
    blob TEXT NOT NULL,                -- see blobs.py
    size INTEGER NOT NULL,
    digest TEXT NOT NULL,              -- MD5
    format TEXT NOT NULL DEFAULT '',
    content TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    created TEXT NOT NULL,
    created_by TEXT NOT NULL,
    uid TEXT NOT NULL DEFAULT '',      -- SOP Instance UID of a DICOM object
    PRIMARY KEY (resource, path)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS prearchive (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,             -- '' is Unassigned
    timestamp TEXT NOT NULL,
    folder TEXT NOT NULL,
    subject TEXT NOT NULL DEFAULT '',
    name TEXT NOT NULL DEFAULT '',     -- session label
    tag TEXT NOT NULL DEFAULT '',      -- StudyInstanceUID
    status TEXT NOT NULL,
    lastmod REAL NOT NULL,
    uploaded REAL NOT NULL,
    scan_date TEXT NOT NULL DEFAULT '',
    autoarchive TEXT NOT NULL DEFAULT '',
    source TEXT NOT NULL DEFAULT '',
    visit TEXT NOT NULL DEFAULT '',
    timezone TEXT NOT NULL DEFAULT '',
    parameters TEXT NOT NULL DEFAULT '{}',
    session TEXT NOT NULL DEFAULT '{}', -- built description, JSON
    log TEXT NOT NULL DEFAULT '',
    UNIQUE (project, timestamp, folder)
);
CREATE TABLE IF NOT EXISTS prearchive_file (
    prearchive INTEGER NOT NULL REFERENCES prearchive ON DELETE CASCADE,
    scan TEXT NOT NULL,                -- series key
    path TEXT NOT NULL,
    blob TEXT NOT NULL,
    size INTEGER NOT NULL,
    digest TEXT NOT NULL,
    header TEXT NOT NULL,              -- what the rules need of the object, JSON
    uid TEXT NOT NULL,
    PRIMARY KEY (prearchive, scan, path)
) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS workflow (
    pk INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    data_type TEXT NOT NULL DEFAULT '',
    externalid TEXT NOT NULL DEFAULT '',
    pipeline_name TEXT NOT NULL,
    launch_time TEXT NOT NULL,
    status TEXT NOT NULL,
    login TEXT NOT NULL DEFAULT '',
    fields TEXT NOT NULL DEFAULT '{}'  -- the other attributes, JSON
);
CREATE INDEX IF NOT EXISTS workflow_item ON workflow (id, pipeline_name, launch_time);
