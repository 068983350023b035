-- Which repositories have a layer, asked for each layer: what images share with the registry, and what a removal frees.
CREATE INDEX repository_blobs_by_digest ON repository_blobs (digest);
