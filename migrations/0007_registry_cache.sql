-- The cache of other registries: repositories of a team named cache/REGISTRY/NAME fill themselves with what is pulled.

-- When a manifest of the cache was last asked for: nanoseconds since 1970. NULL: it was pushed.
ALTER TABLE manifests ADD COLUMN used_at INTEGER;
CREATE INDEX manifests_by_use ON manifests (used_at) WHERE used_at IS NOT NULL;

-- When the registry last said what a tag of the cache is.
ALTER TABLE repository_tags ADD COLUMN checked_at INTEGER;

-- What is public, for lists.
CREATE INDEX repositories_public ON repositories (team_id, name) WHERE public = 1;
