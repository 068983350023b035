-- Times are integers: nanoseconds since 1970. Ids of teams, users, tokens are integers; ids of containers, volumes and
-- images are text as a person sees them. Everything that a person can name has its team.

CREATE TABLE teams (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    -- Names cgroup, monitor and bridge; never reused.
    key TEXT NOT NULL UNIQUE,
    -- First of 65,536 host ids, entered in /etc/subuid and /etc/subgid.
    base_id INTEGER NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    -- argon2id, PHC string.
    password_hash TEXT NOT NULL,
    is_administrator INTEGER NOT NULL DEFAULT 0 CHECK (is_administrator IN (0, 1)),
    -- XChaCha20-Poly1305 sealed; NULL: no second factor.
    totp_secret BLOB,
    -- Last accepted time step, so that no code is taken twice.
    totp_last_step INTEGER NOT NULL DEFAULT 0,
    -- JSON list of hashed recovery codes.
    recovery_codes TEXT NOT NULL DEFAULT '[]',
    language TEXT NOT NULL DEFAULT 'en',
    theme TEXT NOT NULL DEFAULT 'system',
    created_at INTEGER NOT NULL,
    disabled_at INTEGER
) STRICT;

CREATE TABLE memberships (
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL CHECK (role IN ('viewer', 'developer', 'owner')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, user_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tokens (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    -- First characters, shown in lists.
    prefix TEXT NOT NULL,
    -- SHA-256 of the token.
    hash BLOB NOT NULL UNIQUE,
    -- JSON list: read, write, admin.
    scopes TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER,
    UNIQUE (team_id, user_id, name)
) STRICT;

CREATE TABLE sessions (
    -- SHA-256 of the cookie's value.
    hash BLOB PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The team that the pages show.
    team_id INTEGER REFERENCES teams (id) ON DELETE SET NULL,
    csrf TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    address TEXT NOT NULL,
    agent TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    -- NULL: an act on the instance itself.
    team_id INTEGER REFERENCES teams (id) ON DELETE SET NULL,
    user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,
    -- Who, as text, even when the user is gone: name, `docker.sock root`, …
    actor TEXT NOT NULL,
    door TEXT NOT NULL,
    action TEXT NOT NULL,
    noun TEXT NOT NULL,
    target TEXT NOT NULL,
    -- JSON object.
    details TEXT NOT NULL DEFAULT '{}'
) STRICT;
CREATE INDEX audit_entries_by_team ON audit_entries (team_id, id);

-- Keys and small values of the instance: setup token's hash, sealing key id, …
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One layer, shared by all images and teams: layers/<diff id>/.
CREATE TABLE layers (
    diff_id TEXT PRIMARY KEY,
    -- Bytes of the tar.
    size INTEGER NOT NULL,
    -- Bytes on disk, index and side file included.
    disk_bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Blobs that a team can reach; access goes by (team, digest), never by digest alone.
CREATE TABLE images (
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    -- Digest of the image's configuration: Docker's image id.
    id TEXT NOT NULL,
    -- The configuration as it came, JSON.
    config TEXT NOT NULL,
    -- JSON list of diff ids, bottom to top.
    diff_ids TEXT NOT NULL,
    -- Uncompressed bytes of all its layers.
    size INTEGER NOT NULL,
    -- JSON list of ids above 65,535 with a path each: no container with a user namespace can show them.
    high_ids TEXT NOT NULL DEFAULT '[]',
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
    team_id INTEGER NOT NULL,
    -- `docker.io/library/nginx:1.29`: always whole.
    reference TEXT NOT NULL,
    image_id TEXT NOT NULL,
    tagged_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, reference),
    FOREIGN KEY (team_id, image_id) REFERENCES images (team_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX tags_by_image ON tags (team_id, image_id);

CREATE TABLE containers (
    id TEXT PRIMARY KEY,
    team_id INTEGER NOT NULL REFERENCES teams (id),
    name TEXT NOT NULL,
    image_id TEXT NOT NULL,
    -- `engine::containers::config::ContainerConfig`, JSON.
    config TEXT NOT NULL,
    -- What configuration and image make together: `engine::containers::Resolved`, JSON.
    resolved TEXT NOT NULL DEFAULT '{}',
    -- Last known: created, running, paused, restarting, exited, dead; the truth while it runs is the journal.
    state TEXT NOT NULL,
    -- JSON: pid, exit code, times, out of memory, restarts, endpoint, published ports.
    run TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    UNIQUE (team_id, name),
    FOREIGN KEY (team_id, image_id) REFERENCES images (team_id, id)
) STRICT;
CREATE INDEX containers_by_image ON containers (team_id, image_id);

CREATE TABLE volumes (
    -- 64 hexadecimal digits: volumes/<id>/data.
    id TEXT PRIMARY KEY,
    team_id INTEGER NOT NULL REFERENCES teams (id),
    name TEXT NOT NULL,
    anonymous INTEGER NOT NULL DEFAULT 0 CHECK (anonymous IN (0, 1)),
    -- JSON object.
    labels TEXT NOT NULL DEFAULT '{}',
    created_at INTEGER NOT NULL,
    UNIQUE (team_id, name)
) STRICT;

CREATE TABLE container_volumes (
    container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    volume_id TEXT NOT NULL REFERENCES volumes (id),
    PRIMARY KEY (container_id, volume_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX container_volumes_by_volume ON container_volumes (volume_id);
