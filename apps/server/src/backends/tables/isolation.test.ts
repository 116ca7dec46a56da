import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SqlError, type TableConnection } from '../../domain/tables/backend.ts'
import { TableEngine as Engine, type TableEngine } from '../../domain/tables/engine.ts'
import { type Place, transaction } from '../../domain/tables/namespaces.ts'
import { testBackends } from './test-backends.ts'

const victim = { tenant: 1, namespace: 'default' }
const attacker = { tenant: 2, namespace: 'default' }
const neighbour = { tenant: 1, namespace: 'other' }

describe.each(await testBackends())('$name', ({ open, missing }) => {
  let engine: TableEngine
  let victims: Place
  let attackers: Place
  let discard: () => Promise<void>

  beforeAll(async () => {
    if (missing) return
    const opened = await open({ timeoutMs: 20_000 })
    discard = opened.discard
    engine = new Engine({ database: opened.database, bounds: { rows: 1000, bytes: 100_000 } })
    const secret = `CREATE TABLE secrets (id int PRIMARY KEY, word text); INSERT INTO secrets VALUES (1, 'owner-secret');
      CREATE FUNCTION tell() RETURNS text LANGUAGE sql AS 'SELECT word FROM secrets'`
    victims = await engine.asAuthor(victim, { field: '' }, async (connection, place) => {
      await connection.script(secret)
      return place
    })
    attackers = await engine.asAuthor(attacker, { field: '' }, async (_, place) => place)
    await engine.asAuthor(neighbour, { field: '' }, async () => undefined)
  }, 180_000)
  afterAll(() => discard?.())

  /** Runs SQL as the attacker; the outcome's rows, or the error's code. */
  async function attack(text: string): Promise<unknown> {
    return engine.asAuthor(attacker, { field: 'text' }, async (connection) => {
      try {
        return (await connection.query(text)).rows
      } catch (error) {
        if (!(error instanceof SqlError)) throw error
        return error.code
      }
    })
  }

  const denied = expect.stringMatching(/^(42501|55P02|0LP01|2F003|42704|0A000|3D000|22023|25001|2D000|P0001)$/)

  test("a namespace's SQL does not reach another's tables and functions", async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    for (const scope of [attacker, neighbour]) {
      const run = (text: string) => engine.sql(scope, { text, values: [] })
      await expect(run(`SELECT * FROM ${victims.schema}.secrets`)).rejects.toThrow('permission denied')
      await expect(run(`SELECT ${victims.schema}.tell()`)).rejects.toThrow('permission denied')
      await expect(run(`INSERT INTO ${victims.schema}.secrets VALUES (2, 'mine')`)).rejects.toThrow('permission denied')
      await expect(run(`CREATE TABLE ${victims.schema}.mine (id int)`)).rejects.toThrow('permission denied')
      await expect(run(`DROP SCHEMA ${victims.schema} CASCADE`)).rejects.toThrow('must be owner')
    }
  })

  test('nothing in SQL becomes another role', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const [{ rows }] = [
      await engine.asAuthor(attacker, { field: '' }, (connection) => connection.query('SELECT session_user::text, current_user::text')),
    ]
    expect(rows).toEqual([[attackers.schema, attackers.schema]])
    const { server } = await serverName()
    for (const other of [server, victims.schema, victims.userRole]) {
      expect(await attack(`SET ROLE "${other}"`)).toEqual(denied)
      expect(await attack(`SELECT set_config('role', '${other}', false)`)).toEqual(denied)
      expect(await attack(`SET SESSION AUTHORIZATION "${other}"`)).toEqual(denied)
      expect(await attack(`SELECT set_config('session_authorization', '${other}', true)`)).toEqual(denied)
      expect(await attack(`GRANT "${other}" TO "${attackers.schema}"`)).toEqual(denied)
      expect(await attack(`ALTER TABLE ${attackers.schema}.t OWNER TO "${other}"`)).toEqual(expect.stringMatching(/^42/))
      expect(await attack(`DO $$ BEGIN EXECUTE 'SET ROLE "${other}"'; END $$`)).toEqual(denied)
      expect(await attack(`DO $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION "${other}"'; END $$`)).toEqual(denied)
      expect(await attack(`CREATE FUNCTION f() RETURNS text LANGUAGE sql SET role = '${other}' AS 'SELECT 1::text'`)).toEqual(denied)
      expect(
        await attack(`CREATE FUNCTION f() RETURNS text LANGUAGE sql SET session_authorization = '${other}' AS 'SELECT 1::text'`),
      ).toEqual(denied)
    }
    // Going back leads to itself.
    for (const text of [
      'RESET ROLE',
      'SET ROLE NONE',
      'RESET SESSION AUTHORIZATION',
      'SET SESSION AUTHORIZATION DEFAULT',
      'RESET ALL',
      'DISCARD ALL',
      'ROLLBACK',
      'COMMIT',
    ]) {
      const after = await engine.asAuthor(attacker, { field: '' }, async (connection) => {
        await connection.query(text).catch(() => undefined)
        return connection.query('SELECT session_user::text, current_user::text')
      })
      expect(after.rows, text).toEqual([[attackers.schema, attackers.schema]])
    }
  })

  test('code that runs at the commit, in triggers, indexes and cursors stays the same role', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    const { server } = await serverName()
    const become = `
      BEGIN PERFORM set_config('session_authorization', '${server}', false); EXCEPTION WHEN OTHERS THEN NULL; END;
      BEGIN PERFORM set_config('role', '${server}', false); EXCEPTION WHEN OTHERS THEN NULL; END;
      BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN NULL; END;
      BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
      INSERT INTO ${attackers.schema}.seen VALUES (session_user, current_user);`
    await engine.asAuthor(attacker, { field: '' }, (connection) =>
      connection.script(`
        CREATE TABLE seen (session text, who text); CREATE TABLE bait (id int, CONSTRAINT c EXCLUDE USING btree (id WITH =) DEFERRABLE INITIALLY DEFERRED);
        CREATE FUNCTION spring() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${become} RETURN NULL; END $$;
        CREATE FUNCTION look(n int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN ${become} RETURN n; END $$;
        CREATE FUNCTION definer() RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN ${become} RETURN 1; END $$;
        CREATE CONSTRAINT TRIGGER late AFTER INSERT ON bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spring();
        CREATE TRIGGER soon AFTER INSERT ON bait FOR EACH ROW EXECUTE FUNCTION spring()`),
    )
    await engine.run({ scope: attacker, user: '' }, (schema) => [{ text: `INSERT INTO ${schema}.bait VALUES (1)`, values: [] }], {
      field: 'rows',
      table: 'bait',
    })
    await engine.asAuthor(attacker, { field: '' }, (connection) =>
      transaction(connection, async () => {
        await connection.query('INSERT INTO bait VALUES (2)')
        await connection.query('SELECT definer()')
        await connection.query('DECLARE c CURSOR WITH HOLD FOR SELECT look(n) FROM generate_series(1, 2) n')
      }),
    )
    const { rows } = await engine.asAuthor(attacker, { field: '' }, (connection) =>
      connection.query('SELECT DISTINCT session, who FROM seen'),
    )
    expect(rows).toEqual([[attackers.schema, attackers.schema]])
  })

  test('SQL reaches no files, programs, libraries, network or settings of the server', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    for (const text of [
      `SELECT pg_read_file('/etc/passwd')`,
      `SELECT pg_read_binary_file('PG_VERSION')`,
      `SELECT pg_ls_dir('.')`,
      `SELECT pg_stat_file('PG_VERSION')`,
      `SELECT lo_import('/etc/passwd')`,
      `SELECT lo_export(1, '/tmp/x')`,
      `COPY (SELECT 1) TO '/tmp/x'`,
      `COPY (SELECT 1) TO PROGRAM 'touch /tmp/x'`,
      `CREATE FUNCTION c() RETURNS int LANGUAGE c AS 'x', 'y'`,
      `CREATE FUNCTION c() RETURNS int LANGUAGE internal AS 'pg_read_file'`,
      `LOAD 'plpgsql'`,
      `CREATE EXTENSION dblink`,
      `CREATE EXTENSION file_fdw`,
      `CREATE SERVER s FOREIGN DATA WRAPPER x`,
      `ALTER SYSTEM SET work_mem = '1GB'`,
      `SET session_preload_libraries = 'x'`,
      `SET session_replication_role = replica`,
      `CREATE ROLE more SUPERUSER`,
      `CREATE SCHEMA more`,
      `CREATE DATABASE more`,
      `CREATE PUBLICATION p FOR ALL TABLES`,
      `CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION x()`,
      `ALTER ROLE CURRENT_USER SUPERUSER`,
      `ALTER ROLE CURRENT_USER BYPASSRLS`,
      `SELECT * FROM pg_authid`,
      `SELECT * FROM millrace_tables.namespaces`,
      `CREATE TABLE millrace_tables.x (id int)`,
      `CREATE TABLE millrace_extensions.x (id int)`,
      `CREATE TABLE public.x (id int)`,
      `UPDATE pg_proc SET proname = 'x'`,
      `SELECT pg_reload_conf()`,
      `SELECT pg_create_restore_point('x')`,
      `VACUUM pg_authid`,
    ]) {
      const outcome = await attack(text)
      expect(typeof outcome === 'string' || (Array.isArray(outcome) && outcome.length === 0), `${text} → ${JSON.stringify(outcome)}`).toBe(
        true,
      )
      if (/^(SELECT|COPY|LOAD|SET|ALTER|UPDATE)/.test(text))
        expect(outcome, text).toEqual(expect.stringMatching(/^(42501|42704|42883|58P01|0A000|55P02|22023)$/))
    }
  })

  test('several statements in one text are refused', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    expect(await attack('SELECT 1; SELECT 2')).toBe('42601')
  })

  test('what a caller left behind on a connection is gone', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await engine.asAuthor(attacker, { field: '' }, async (connection) => {
      await connection.query(
        `SELECT set_config('search_path', 'nowhere', false), set_config('statement_timeout', '0', false), set_config('millrace.user', 'root', false)`,
      )
      await connection.query('PREPARE p AS SELECT 1')
      await connection.query('BEGIN')
    })
    const settings = (connection: TableConnection) =>
      connection.query(`SELECT current_setting('search_path'), current_setting('millrace.user', true)`)
    for (const scope of [attacker, victim]) {
      const { rows } = await engine.asAuthor(scope, { field: '' }, settings)
      expect(rows[0]![0]).toContain(scope === attacker ? attackers.schema : victims.schema)
      expect(rows[0]![1] ?? '').toBe('')
    }
    expect(await attack('EXECUTE p')).toBe('26000')
  })

  test('row-level security holds for users, and cannot be left', async (ctx) => {
    ctx.skip(missing !== undefined, missing)
    await engine.asAuthor(victim, { field: '' }, (connection) =>
      connection.script(`CREATE TABLE notes (id int PRIMARY KEY, owner text DEFAULT current_setting('millrace.user'), text text);
        ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON notes USING (owner = current_setting('millrace.user')) WITH CHECK (owner = current_setting('millrace.user'));
        INSERT INTO notes VALUES (1, 'ann', 'a'), (2, 'bob', 'b')`),
    )
    const select = async (user: string) => {
      const [result] = await engine.run(
        { scope: victim, user },
        (schema) => [{ text: `SELECT id FROM ${schema}.notes ORDER BY id`, values: [] }],
        { field: '', table: 'notes' },
      )
      return JSON.parse(Buffer.from(result!.result.rows).toString())
    }
    expect(await select('')).toEqual([{ id: 1 }, { id: 2 }])
    expect(await select('ann')).toEqual([{ id: 1 }])
    expect(await select(`' OR true --`)).toEqual([])
    const run = (text: string) =>
      engine.run({ scope: victim, user: 'ann' }, (schema) => [{ text: text.replaceAll('$s', schema), values: [] }], {
        field: 'rows',
        table: 'notes',
      })
    await expect(run(`INSERT INTO $s.notes VALUES (3, 'bob', 'c')`)).rejects.toThrow('row-level security')
    await expect(run(`DROP TABLE $s.notes`)).rejects.toThrow('must be owner')
    await expect(run(`CREATE TABLE $s.more (id int)`)).rejects.toThrow('permission denied')
    expect(await select('')).toHaveLength(2)
  })

  async function serverName(): Promise<{ readonly server: string }> {
    const { rows } = await engine.asAuthor(attacker, { field: '' }, (connection) =>
      connection.query(`SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = 'millrace_tables'`),
    )
    return { server: rows[0]![0]! }
  }
})
