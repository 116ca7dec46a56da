/** Limits on starts: what a job comes to, the places that are taken, and when the next is given back. */
export const rateSchema = `
  ALTER TABLE millrace.flows ADD COLUMN rate_gate text, ADD COLUMN rate_limit int, ADD COLUMN rate_ms bigint, ADD COLUMN rate_line bigint;
  CREATE INDEX flows_rate_line ON millrace.flows (tenant, rate_gate, rate_line, seq) WHERE rate_line IS NOT NULL;
  ALTER TABLE millrace.gates ADD COLUMN due_at bigint;
  CREATE INDEX gates_due ON millrace.gates (due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE millrace.rate_places (
    tenant int NOT NULL, gate text COLLATE "C" NOT NULL, until bigint NOT NULL, seq bigint NOT NULL,
    PRIMARY KEY (tenant, gate, until, seq)
  ) WITH (fillfactor = 70);
  CREATE INDEX rate_places_until ON millrace.rate_places (until);
`

/** Jobs that stand for several requests, and when jobs end that have not begun. */
export const triggerSchema = `
  CREATE TABLE millrace.triggers (
    tenant int NOT NULL, namespace text COLLATE "C" NOT NULL, queue text COLLATE "C" NOT NULL, function text COLLATE "C" NOT NULL,
    kind int NOT NULL, key text COLLATE "C" NOT NULL, seq bigint NOT NULL, first_at bigint NOT NULL, until bigint NOT NULL,
    PRIMARY KEY (tenant, namespace, queue, function, kind, key)
  ) WITH (fillfactor = 70);
  CREATE INDEX triggers_until ON millrace.triggers (until);
  CREATE TABLE millrace.expiries (
    tenant int NOT NULL, seq bigint NOT NULL, at bigint NOT NULL,
    PRIMARY KEY (tenant, seq)
  );
  CREATE INDEX expiries_at ON millrace.expiries (at);
`

/** Brings jobs that took turns before they could have limits to {@link turnSchema}: those of the database, and of archives made before it. */
export const turnsOfBefore = `
  UPDATE millrace.flows SET turn_gate = 'turn' || substr(gate, 5), stands = CASE WHEN line IS NULL THEN NULL ELSE 'turn' || substr(gate, 5) END,
    gate = '', line = NULL WHERE fair_key IS NOT NULL AND gate LIKE 'fair %';
  UPDATE millrace.gates SET gate = 'turn' || substr(gate, 5) WHERE gate LIKE 'fair %';
  UPDATE millrace.fair_keys SET gate = 'turn' || substr(gate, 5) WHERE gate LIKE 'fair %';
`

/** Jobs that take turns may have limits besides: the gate of turns is one of several, and lines are wherever they wait. */
export const turnSchema = `
  ALTER TABLE millrace.flows ADD COLUMN turn_gate text, ADD COLUMN stands text;
  DROP INDEX millrace.flows_fair;
  ${turnsOfBefore}
  CREATE INDEX flows_stands ON millrace.flows (tenant, stands, fair_key, place, seq) WHERE stands IS NOT NULL;
`

/** Jobs that take turns by their keys. */
export const fairSchema = `
  ALTER TABLE millrace.flows ADD COLUMN fair_key text, ADD COLUMN fair_turn bigint;
  CREATE INDEX flows_fair ON millrace.flows (tenant, gate, fair_key, line, seq) WHERE fair_key IS NOT NULL AND line IS NOT NULL;
  ALTER TABLE millrace.gates ADD COLUMN turn bigint NOT NULL DEFAULT 0;
  CREATE TABLE millrace.fair_keys (
    tenant int NOT NULL, gate text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, turn bigint NOT NULL,
    PRIMARY KEY (tenant, gate, key)
  ) WITH (fillfactor = 70);
  CREATE INDEX fair_keys_turn ON millrace.fair_keys (tenant, gate, turn, key);
`
