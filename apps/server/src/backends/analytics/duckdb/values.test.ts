import { afterAll, beforeAll, expect, test } from 'vitest'
import { forever, rowsOf, sales, statement, type TestBackend, testBackend } from './test-backend.ts'

let backend: TestBackend
beforeAll(async () => {
  backend = await testBackend(afterAll)
  await backend.create(sales, {}, 0)
})

test.each<[string, unknown, string?]>([
  ['NULL', null],
  ['true', true],
  ['(-128)::TINYINT', -128],
  ['4294967295::UINTEGER', 4294967295],
  ['9007199254740991', 9007199254740991],
  ['9007199254740992', '9007199254740992'],
  ['(-9223372036854775808)::BIGINT', '-9223372036854775808'],
  ['18446744073709551615::UBIGINT', '18446744073709551615'],
  ['170141183460469231731687303715884105727::HUGEINT', '170141183460469231731687303715884105727'],
  ['1.5::DOUBLE', 1.5],
  ["'NaN'::DOUBLE", 'NaN'],
  ["'-inf'::FLOAT", '-Infinity'],
  ["'-0'::DOUBLE", '-0'],
  ['1234567890123456.78::DECIMAL(18,2)', '1234567890123456.78'],
  ['0.10::DECIMAL(3,2)', '0.10'],
  ["'é🦆'", 'é🦆'],
  ["'\\x00\\xFFa'::BLOB", 'AP9h'],
  ["DATE '2024-02-29'", '2024-02-29'],
  ["DATE '0044-03-15 (BC)'", '0044-03-15 (BC)'],
  ["'infinity'::DATE", 'infinity'],
  ["TIME '12:34:56.789012'", '12:34:56.789012'],
  ["TIMESTAMP '2024-02-29 12:34:56.789012'", '2024-02-29T12:34:56.789012'],
  ["TIMESTAMP '1969-12-31 23:59:59.999999'", '1969-12-31T23:59:59.999999'],
  ["TIMESTAMPTZ '2024-02-29 12:34:56.789012+02'", '2024-02-29T10:34:56.789012Z'],
  ["TIMESTAMP_NS '2024-02-29 12:34:56.789012345'", '2024-02-29T12:34:56.789012345'],
  ["'infinity'::TIMESTAMP", 'infinity'],
  ["TIMESTAMP '0044-03-15 (BC) 10:00:00'", '0044-03-15 (BC)T10:00:00'],
  ["TIMESTAMP '12000-01-31 10:00:00.5'", '12000-01-31T10:00:00.5'],
  ["TIMESTAMPTZ '12000-01-31 10:00:00+02'", '12000-01-31T08:00:00Z'],
  ["INTERVAL '1 year 2 days 3.5 seconds'", { months: 12, days: 2, micros: 3500000 }],
  ["'5f8c9e5e-6d3b-4e5a-9a3c-0123456789ab'::UUID", '5f8c9e5e-6d3b-4e5a-9a3c-0123456789ab'],
  ["'0101'::BIT", '0101'],
  ["'b'::ENUM('a', 'b')", 'b'],
  ['[1, NULL, 9007199254740993]', [1, null, '9007199254740993']],
  ['[1, 2]::INTEGER[2]', [1, 2]],
  ["{'a': 1, 'b': {'c': '\\x01'::BLOB}}", { a: 1, b: { c: 'AQ==' } }],
  [
    "MAP {'a': 1.5::DOUBLE, 'b': NULL}",
    [
      ['a', 1.5],
      ['b', null],
    ],
  ],
  ['union_value(n := 2)', { tag: 'n', value: 2 }],
  ['\'{"a": 1}\'::JSON', '{"a": 1}'],
])('%s is exactly %j', async (sql, expected) => {
  expect(await rowsOf(backend, `SELECT ${sql}`)).toEqual([[expected]])
})

test('a value comes back as the parameter that it was', async () => {
  const given = [
    1,
    -0.5,
    'x',
    true,
    null,
    { $bigint: '170141183460469231731687303715884105727' },
    { $bytes: 'AP8=' },
    { $timestamp: '2027-01-31T12:00:00.250Z' },
    [1, 2.5],
    { a: [1] },
  ]
  const sql = `SELECT ${given.map((_, i) => `$${i + 1}`).join(', ')}`
  expect(await rowsOf(backend, sql, given)).toEqual([
    [1, -0.5, 'x', true, null, '170141183460469231731687303715884105727', 'AP8=', '2027-01-31T12:00:00.250000Z', [1, 2.5], { a: [1] }],
  ])
  expect(await rowsOf(backend, 'SELECT $a + $b, $a', { a: 1, b: 2 })).toEqual([[3, 1]])
  expect(await rowsOf(backend, 'SELECT ?, ?', ['a', 'b'])).toEqual([['a', 'b']])
})

test('whole numbers are not rounded, whoever writes their JSON', async () => {
  const numbers = ['9007199254740992', '9007199254740993', '-9223372036854775808', '170141183460469231731687303715884105727']
  const given = { sql: 'SELECT $1, $2, $3, $4, $5, [typeof($1), typeof($4)]', path: 'sql' }
  const query = (json: string) => backend.query(sales, { ...given, parameters: json }, { limit: 1, bytes: 1e6 }, forever)
  const { values } = await query(`[${numbers.join(', ')}, [{"a": 9007199254740993}]]`)
  expect(JSON.parse(Buffer.from(values).toString())).toEqual([
    ...numbers.map((number) => [number]),
    [[{ a: '9007199254740993' }]],
    [['BIGINT', 'HUGEINT']],
  ])
  await expect(query('[1, 2, 3, 4, 1e400]')).rejects.toThrow('parameters[4]: is more than a DOUBLE holds')
  for (const digits of [39, 40, 1000]) {
    const message = 'parameters[4]: is a whole number of more than 128 bits'
    await expect(query(`[1, 2, 3, 4, ${'9'.repeat(digits)}]`)).rejects.toThrow(message)
  }
  // What JavaScript writes of a double stays one.
  expect(await rowsOf(backend, 'SELECT $1, typeof($1)', [1e20])).toEqual([[1e20, 'DOUBLE']])
})

test('what is NULL or empty in one item of a list is of the type of the others', async () => {
  const given = [
    [[1], [], null, [2.5]],
    [
      { id: 1, name: null, tags: [] },
      { id: null, name: 'x', tags: ['a'] },
      { tags: null, id: { $bigint: '170141183460469231731687303715884105727' }, name: 'y' },
    ],
    [null, null],
    [{ a: [{ b: null }] }, { a: [{ b: 1 }, { b: 0.5 }] }],
  ]
  expect(await rowsOf(backend, 'SELECT $1, $2, $3, $4', given)).toEqual([
    [
      given[0],
      [
        { id: 1, name: null, tags: [] },
        { id: null, name: 'x', tags: ['a'] },
        { id: '170141183460469231731687303715884105727', name: 'y', tags: null },
      ],
      given[2],
      given[3],
    ],
  ])
  expect(
    await rowsOf(backend, 'SELECT unnest($1, recursive := true)', [
      [
        { a: 1, b: null },
        { a: null, b: 'x' },
      ],
    ]),
  ).toEqual([
    [1, null],
    [null, 'x'],
  ])
})

test.each<[string, unknown, string]>([
  ['SELECT $1', [[{ a: 1 }, { b: 1 }]], 'parameters[0]: is a list of several types: STRUCT("a" BIGINT), STRUCT("b" BIGINT)'],
  ['SELECT $1', [], 'parameters: 0 given, but the statement has 1'],
  ['SELECT 1', [2], 'parameters: 1 given, but the statement has 0'],
  ['SELECT $2', [1, 2], 'parameters: the statement has no $1'],
  ['SELECT $1', ['\ud800'], 'parameters[0]: is not well-formed Unicode'],
  ['SELECT $a', [2], "parameters: the statement's parameters are named: give an object, for $name"],
  ['SELECT $a', { b: 1 }, 'parameters: $a is missing'],
  ['SELECT $a', { a: 1, b: 1 }, 'parameters: the statement has no $b'],
  ['SELECT $1', [{ $bigint: '1e400' }], 'parameters[0]: $bigint is not a whole number'],
  ["SELECT row(1, 'x')", [], 'sql: a row without names cannot be sent'],
  ['SELECT $1', [[1, 'a']], 'parameters[0]: is a list of several types: BIGINT, VARCHAR'],
])('%s with %j is refused', async (sql, parameters, message) => {
  await expect(rowsOf(backend, sql, parameters)).rejects.toThrow(message)
})

test('the text of a time far away is read back as the same time', async () => {
  const times = ['0044-03-15 (BC)T10:00:00', '12000-01-31T10:00:00.5']
  expect(await rowsOf(backend, 'SELECT $1::TIMESTAMP, $2::TIMESTAMP, $3::TIMESTAMPTZ', [...times, '12000-01-31T08:00:00Z'])).toEqual([
    [...times, '12000-01-31T08:00:00Z'],
  ])
})

test('rows are given as far as they fit, one at least', async () => {
  const query = (sql: string, limit: number, bytes: number) => backend.query(sales, statement(sql), { limit, bytes }, forever)
  expect(await query('FROM range(10)', 3, 1e6)).toMatchObject({ rows: 3, more: true })
  expect(await query('FROM range(10)', 10, 1e6)).toMatchObject({ rows: 10, more: false })
  expect(await query('FROM range(5000)', 4096, 1e6)).toMatchObject({ rows: 4096, more: true })
  expect(await query("SELECT repeat('x', 1000) FROM range(5000)", 5000, 10_500)).toMatchObject({ rows: 10, more: true })
  expect(await query("SELECT repeat('x', 1000) FROM range(5000)", 5000, 10)).toMatchObject({ rows: 1, more: true })
  expect(await query('SELECT 1 WHERE false', 10, 10)).toMatchObject({ rows: 0, more: false, values: Buffer.from('[[]]') })
  await expect(query("SELECT repeat('x', 4000000)", 10, 2e6)).rejects.toThrow('A row of the result takes')
})

test.each([
  ["SELECT CASE WHEN range = $1 THEN error('late') ELSE range END FROM range(300000)", 'sql: late'],
  [
    "-- é\nSELECT ('1' || CASE WHEN range = $1 THEN 'x' ELSE '' END)::INTEGER FROM range(300000)",
    'sql: line 2, column 58: Could not convert',
  ],
])('what fails after many rows is told: %s', async (sql, message) => {
  const bounds = { limit: 1e6, bytes: 1e8 }
  await expect(backend.query(sales, statement(sql, [299_000]), bounds, forever)).rejects.toThrow(message)
  const stream = await backend.stream(sales, statement(sql, [299_000]), forever)
  const readAll = async () => {
    while (await stream.next());
  }
  await expect(readAll()).rejects.toThrow(message)
  await stream.close()
})

test('a stream gives every row once, in order', async () => {
  const stream = await backend.stream(sales, statement('SELECT i, i::VARCHAR AS s FROM range(100000) t(i)'), forever)
  expect(stream.columns).toEqual([
    { name: 'i', type: 'BIGINT' },
    { name: 's', type: 'VARCHAR' },
  ])
  const all: number[] = []
  for (let batch = await stream.next(); batch; batch = await stream.next()) {
    const [numbers, texts] = JSON.parse(Buffer.from(batch.values).toString()) as [number[], string[]]
    expect(texts).toEqual(numbers.map(String))
    all.push(...numbers)
  }
  await stream.close()
  expect(all).toEqual(Array.from({ length: 100_000 }, (_, i) => i))
})
