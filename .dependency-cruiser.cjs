// Which way imports may run. `pnpm check:imports` checks it; tools/checks/src/imports.test.ts plants a violation of each rule.

/** What each package may import of the others. A new package adds its line. */
const arrows = {
  'packages/protocol': [],
  'packages/attestation': [],
  'packages/core': ['packages/protocol'],
  'packages/client': ['packages/attestation', 'packages/core', 'packages/protocol'],
  'packages/web': ['packages/core', 'packages/protocol'],
  'packages/react': ['packages/core', 'packages/web'],
  'packages/vue': ['packages/core', 'packages/web'],
  'apps/server': ['packages/attestation', 'packages/protocol'],
  // For users' tests: a server and its clients in one process.
  'packages/testing': ['packages/core', 'packages/client', 'apps/server'],
}

const workspaces = '(packages|apps|tools|examples|tests)'
const tests = '[.]test[.]ts$|/test-[a-z-]+[.]ts$|^[^/]+/[^/]+/test/|/src/testing/|/conformance/'
const server = '^apps/server/src'

/** @param {string} name @param {string} comment @param {object} from @param {object} to */
const forbid = (name, comment, from, to) => ({ name, severity: 'error', comment, from, to })

/** What tests may import beyond that: private databases and the like. */
const testTools = 'tools/dev'

const betweenPackages = Object.entries(arrows).flatMap(([folder, allowed]) => {
  const name = folder.split('/')[1]
  /** @param {readonly string[]} known */
  const others = (known) => ({ path: `^${workspaces}/`, pathNot: [folder, ...known].map((to) => `^${to}/`) })
  return [
    forbid(
      `arrows-${name}`,
      `${folder} imports ${allowed.join(' and ') || 'no other package'}.`,
      { path: `^${folder}/`, pathNot: tests },
      others(allowed),
    ),
    forbid(
      `arrows-${name}-tests`,
      `Tests of ${folder} import what it does, and ${testTools}.`,
      { path: `^${folder}/.*(${tests})` },
      others([...allowed, testTools]),
    ),
  ]
})

module.exports = {
  forbidden: [
    ...betweenPackages,
    forbid(
      'no-cycles',
      'A module never needs itself to run. Types may speak of each other.',
      {},
      { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    ),
    forbid(
      'no-deep-imports',
      'Another package is imported by its name, never by a path into it.',
      { path: `^(${workspaces}/[^/]+)/` },
      { path: `^${workspaces}/`, pathNot: '^$1/', dependencyTypes: ['local'] },
    ),
    forbid('no-unresolved', 'Every import leads somewhere.', {}, { couldNotResolve: true }),
    forbid(
      'no-dev-dependencies',
      'What ships imports what its package.json lists as a dependency, or asks its users for.',
      { path: '^(packages|apps)/[^/]+/src/', pathNot: tests },
      { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['npm-peer'] },
    ),
    forbid(
      'core-runs-anywhere',
      'The core, the client for browsers and the adapters of user interfaces run in browsers: no Node built-ins.',
      { path: '^packages/(core|web|react|vue)/src/', pathNot: tests },
      { dependencyTypes: ['core'] },
    ),
    forbid('server-services', 'Services know nothing of transports.', { path: `${server}/services/` }, { path: `${server}/transport/` }),
    forbid(
      'server-domain',
      'The domain knows nothing of services and transports.',
      { path: `${server}/domain/` },
      { path: `${server}/(services|transport)/` },
    ),
    forbid(
      'server-store',
      'Stores know nothing of what is above them.',
      { path: `${server}/store/` },
      { path: `${server}/(domain|services|transport)/` },
    ),
    forbid(
      'server-composition',
      'Only main composes: everything else knows the ports, not an adapter.',
      { path: '^apps/server/', pathNot: [`${server}/store/`, `${server}/(main|serve|stores)[.]ts$`, tests] },
      { path: `${server}/store/`, pathNot: `${server}/store/(ports|[a-z]+-port|sections|schema-report)[.]ts$` },
    ),
    forbid(
      'server-backends',
      'Backends know the ports of the domain that they implement, and nothing else of the server but its errors and its way to make directories.',
      { path: `${server}/backends/`, pathNot: tests },
      {
        path: `${server}/`,
        pathNot: [`${server}/backends/`, `${server}/domain/[a-z]+/backend[.]ts$`, `${server}/(errors|make-directory)[.]ts$`],
      },
    ),
    forbid(
      'server-backends-composition',
      'Only main composes: everything else knows the ports, not a backend.',
      { path: '^apps/server/', pathNot: [`${server}/backends/`, `${server}/open-backends[.]ts$`, tests] },
      { path: `${server}/backends/` },
    ),
    forbid(
      'server-adapters',
      'No adapter knows another. What they share is in store/flow.',
      { path: `${server}/store/([^/]+)/`, pathNot: tests },
      { path: `${server}/store/[^/]+/`, pathNot: [`${server}/store/$1/`, `${server}/store/flow/`] },
    ),
    forbid(
      'server-sql',
      'SQL lives in the adapters.',
      { path: '^apps/server/src/', pathNot: [`${server}/store/(sqlite|postgres)/`, `${server}/backends/`, tests] },
      { path: '^(node:)?sqlite$|(^|/)node_modules/(@types/)?pg/' },
    ),
  ],
  options: {
    exclude: { path: '/dist/' },
    doNotFollow: { path: 'node_modules' },
    parser: 'tsc',
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    enhancedResolveOptions: {
      conditionNames: ['millrace-source', 'types', 'import', 'node', 'default'],
      exportsFields: ['exports'],
      extensions: ['.ts', '.mjs', '.js', '.json', '.d.ts'],
    },
  },
}
