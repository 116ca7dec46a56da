import { defineConfig } from 'tsdown'

export default defineConfig({
  entry: {
    index: 'src/index.ts',
    cli: 'src/cli.ts',
    // DuckDB runs in a process of its own, which begins there.
    'duckdb-host': 'src/backends/analytics/duckdb/host/main.ts',
    // PGlite in a thread of its own.
    'pglite-thread': 'src/backends/tables/pglite/thread.ts',
  },
  dts: { entry: ['src/index.ts'] },
  target: 'node24',
  platform: 'node',
  fixedExtension: false,
})
