/** Replays of streams. `ranges` is JSON; `base_at` is absent where messages come as fast as they are read. */
export const replaysSchema = `
  CREATE TABLE replays (
    tenant INTEGER NOT NULL, namespace TEXT NOT NULL, stream TEXT NOT NULL, member_group TEXT NOT NULL, number INTEGER NOT NULL,
    ranges TEXT NOT NULL, base_at INTEGER, state INTEGER NOT NULL, elapsed_ms INTEGER NOT NULL, since INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, namespace, stream, member_group)
  );
`
