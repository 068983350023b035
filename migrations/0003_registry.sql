-- The registry inside. A repository belongs to a team, and everything in it is found through it: a digest alone leads
-- nowhere. Bytes lie in content/<digest>, or, where the digest is the diff id of a layer, in layers/<diff id>/tar.

CREATE TABLE repositories (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    -- Behind the team's name and its slash; may have further slashes.
    name TEXT NOT NULL,
    -- Whoever asks may pull.
    public INTEGER NOT NULL DEFAULT 0 CHECK (public IN (0, 1)),
    -- A tag never names another manifest.
    immutable_tags INTEGER NOT NULL DEFAULT 0 CHECK (immutable_tags IN (0, 1)),
    -- How many of the newest tags stay; NULL: all.
    keep_tags INTEGER CHECK (keep_tags >= 1),
    -- Days that a manifest without a tag stays; NULL: for ever.
    keep_untagged_days INTEGER CHECK (keep_untagged_days >= 0),
    pulls INTEGER NOT NULL DEFAULT 0,
    last_pulled_at INTEGER,
    created_at INTEGER NOT NULL,
    UNIQUE (team_id, name)
) STRICT;

CREATE TABLE manifests (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    -- As lists of referrers show it: of the manifest, else its configuration's media type.
    artifact_type TEXT,
    -- Digest of the manifest that it is about, there or not.
    subject TEXT,
    -- JSON object.
    annotations TEXT NOT NULL DEFAULT '{}',
    pushed_by TEXT NOT NULL,
    pushed_at INTEGER NOT NULL,
    -- Since when no tag names it, if none does.
    untagged_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX manifests_by_subject ON manifests (repository_id, subject, digest) WHERE subject IS NOT NULL;

-- What a manifest needs: a configuration and layers, or the manifests of an index.
CREATE TABLE manifest_links (
    repository_id INTEGER NOT NULL,
    parent TEXT NOT NULL,
    child TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('blob', 'manifest')),
    PRIMARY KEY (repository_id, parent, child, kind),
    FOREIGN KEY (repository_id, parent) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX manifest_links_by_child ON manifest_links (repository_id, child);

CREATE TABLE repository_blobs (
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    size INTEGER NOT NULL,
    -- Last pushed, mounted, or asked for by somebody who may push: one that no manifest needs stays for a while.
    used_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE repository_tags (
    repository_id INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    tagged_by TEXT NOT NULL,
    tagged_at INTEGER NOT NULL,
    PRIMARY KEY (repository_id, name),
    FOREIGN KEY (repository_id, digest) REFERENCES manifests (repository_id, digest) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX repository_tags_by_digest ON repository_tags (repository_id, digest);
CREATE INDEX repository_tags_by_age ON repository_tags (repository_id, tagged_at);

-- Blobs on their way in: content/uploads/<id>, as long as it came so far.
CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    repository_id INTEGER NOT NULL REFERENCES repositories (id) ON DELETE CASCADE,
    started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_repository ON uploads (repository_id);

-- Who pulls or pushes and is no person: a build server, a host.
CREATE TABLE robots (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- First characters of its secret, shown in lists.
    prefix TEXT NOT NULL,
    -- SHA-256 of the secret.
    hash BLOB NOT NULL UNIQUE,
    -- May push as well as pull.
    push INTEGER NOT NULL DEFAULT 0 CHECK (push IN (0, 1)),
    -- Only repositories whose names begin so; empty: all of the team.
    repositories TEXT NOT NULL DEFAULT '',
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    UNIQUE (team_id, name)
) STRICT;
