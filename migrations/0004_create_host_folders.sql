-- Host folders that an administrator granted a team: its containers may bind them and what lies beneath. What spawner
-- reads at each start is `grants/<team key>.json` in the data root, written from here.
CREATE TABLE host_folders (
    team_id INTEGER NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    -- Absolute, of normal parts only.
    path TEXT NOT NULL,
    read_only INTEGER NOT NULL CHECK (read_only IN (0, 1)),
    created_at INTEGER NOT NULL,
    UNIQUE (team_id, path)
) STRICT;
