-- Registries of others: what the administrator says about them, what teams know of them, what came from where.

CREATE TABLE registries (
    -- `host` or `host:port`, as it stands in names of images.
    host TEXT PRIMARY KEY,
    -- Asked by http://, without TLS.
    plain_http INTEGER NOT NULL DEFAULT 0 CHECK (plain_http IN (0, 1)),
    -- Certificates that may have signed its own, PEM; NULL: those that the host trusts.
    ca_pem TEXT,
    -- Teams reach it too when its address is private.
    teams_may INTEGER NOT NULL DEFAULT 0 CHECK (teams_may IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE mirrors (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- `docker.io`, … : the registry whose bytes it has.
    upstream TEXT NOT NULL,
    -- `https://host[:port]`.
    url TEXT NOT NULL,
    -- The lowest is asked first.
    position INTEGER NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1 CHECK (enabled IN (0, 1)),
    created_at INTEGER NOT NULL,
    UNIQUE (upstream, url)
) STRICT;

CREATE TABLE registry_credentials (
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    registry TEXT NOT NULL,
    username TEXT NOT NULL,
    -- Password or token, XChaCha20-Poly1305 sealed.
    secret BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, registry)
) STRICT, WITHOUT ROWID;

-- Facts about bytes: what a packed layer holds. Whether somebody may have it, this does not say.
CREATE TABLE packed_layers (
    -- Of the bytes as they came.
    digest TEXT PRIMARY KEY,
    diff_id TEXT NOT NULL REFERENCES layers (diff_id) ON DELETE CASCADE,
    size INTEGER NOT NULL,
    media_type TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX packed_layers_by_diff_id ON packed_layers (diff_id);

-- Which registry itself delivered the bytes: it is the authority on who may have them.
CREATE TABLE blob_origins (
    digest TEXT NOT NULL REFERENCES packed_layers (digest) ON DELETE CASCADE,
    registry TEXT NOT NULL,
    PRIMARY KEY (digest, registry)
) STRICT, WITHOUT ROWID;

-- Under which digests a team got an image, or gave it away.
CREATE TABLE image_digests (
    team_id INTEGER NOT NULL,
    -- `docker.io/library/nginx`: always whole.
    repository TEXT NOT NULL,
    -- Of the index, or of the manifest where there is no index.
    digest TEXT NOT NULL,
    -- Of the image's own manifest. Bytes of both are in content/.
    manifest TEXT NOT NULL,
    image_id TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (team_id, repository, digest),
    FOREIGN KEY (team_id, image_id) REFERENCES images (team_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX image_digests_by_image ON image_digests (team_id, image_id);

-- What served which pull; the newest ones.
CREATE TABLE fetches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    reference TEXT NOT NULL,
    -- `https://host[:port]` of the registry or the mirror.
    endpoint TEXT NOT NULL,
    blobs INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX fetches_by_team ON fetches (team_id, id);
