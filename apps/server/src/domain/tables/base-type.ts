/**
 * SQL: a type without domains, and without those of its elements, as a row: `oid`, that of an element when it is a `list`, and whether
 * a domain refuses NULL, `required`.
 *
 * @param type - SQL of the type's oid.
 */
export function baseTypeOf(type: string): string {
  return `(
    WITH RECURSIVE base (oid, list, required, depth) AS (
      SELECT ${type}, false, false, 0
      UNION ALL
      SELECT CASE t.typtype WHEN 'd' THEN t.typbasetype ELSE e.oid END, base.list OR t.typtype <> 'd',
        base.required OR (t.typnotnull AND NOT base.list), depth + 1
      FROM base JOIN pg_catalog.pg_type t ON t.oid = base.oid
      LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND e.typarray = t.oid
      WHERE t.typtype = 'd' OR (NOT base.list AND e.oid IS NOT NULL)
    ) SELECT oid, list, required FROM base ORDER BY depth DESC LIMIT 1)`
}
