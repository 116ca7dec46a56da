/** Replays of streams. `ranges` is JSON; `base_at` is absent where messages come as fast as they are read. */
export const replaysSchema = `
  CREATE TABLE millrace.replays (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, stream text COLLATE "C" NOT NULL, member_group text COLLATE "C" NOT NULL,
    number int NOT NULL, ranges text NOT NULL, base_at bigint, state int NOT NULL, elapsed_ms bigint NOT NULL, since bigint NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (tenant, namespace, stream, member_group)
  );
`
