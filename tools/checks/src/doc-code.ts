import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript-5'
import { publicEntries } from './public-api.ts'

/** Code of a page, as a file that TypeScript can check. Its lines have the page's numbers. */
interface CodeFile {
  readonly page: string
  readonly name: string
  readonly text: string
}

/** What pages take for granted, beside what they declare themselves. */
const prelude = `declare const mr: import('@millrace/client').Millrace\n`

/** Names that the page does not declare are the reader's own, and may be anything. */
const readersOwn = new Set([2304, 2552, 2582, 2593, 18004])

/**
 * Checks the code in pages against the packages' built types: that what it imports, calls and reads is there. The blocks of a
 * page see what those before them declare; one with imports begins anew.
 *
 * @param root - the repository's folder.
 * @param pages - Markdown by its path in the repository; see {@link readPages}.
 * @returns what is wrong: `docs/tasks.md:12: Property …`.
 * @throws Error when a package is not built.
 */
export function checkDocCode(root: string, pages: ReadonlyMap<string, string>): string[] {
  // Here lies everything that pages import beside our own packages.
  const folder = join(root, 'tests/e2e')
  const files = [...pages].flatMap(([page, markdown]) => filesOf(folder, page, markdown))
  const declarations = join(folder, 'prelude.d.ts')
  const texts = new Map([[declarations, prelude], ...files.map(({ name, text }) => [name, text] as const)])
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    lib: ['lib.esnext.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    jsx: ts.JsxEmit.ReactJSX,
    strict: true,
    noImplicitAny: false, // handlers in pages have no types where they would only be in the way
    skipLibCheck: true,
    noEmit: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
    paths: Object.fromEntries(publicEntries(root).map(({ name, file }) => [name, [file]])),
  }
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = (name) => texts.has(name) || fileExists.call(host, name)
  host.readFile = (name) => texts.get(name) ?? readFile.call(host, name)
  host.getSourceFile = (name, version, ...rest) => {
    const text = texts.get(name)
    return text === undefined ? getSourceFile.call(host, name, version, ...rest) : ts.createSourceFile(name, text, version, true)
  }
  const program = ts.createProgram([...texts.keys()], options, host)
  return files.flatMap(({ page, name }) => {
    const file = program.getSourceFile(name)!
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    return found
      .filter(({ code }) => !readersOwn.has(code))
      .map(({ start, messageText }) => {
        const { line } = file.getLineAndCharacterOfPosition(start!)
        return `${page}:${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
      })
  })
}

/** Reads pages, and sources for the examples in their comments, by their paths in the repository. */
export function readPages(root: string, paths: readonly string[]): Map<string, string> {
  return new Map(
    paths.map((path) => {
      const text = readFileSync(join(root, path), 'utf8')
      return [path, path.endsWith('.ts') ? text.replace(/^ *\* ?/gm, '') : text]
    }),
  )
}

/** The code of a page. */
function filesOf(folder: string, page: string, markdown: string): CodeFile[] {
  const files: CodeFile[] = []
  let lines: string[] = []
  let open = 0
  const end = () => {
    if (lines.length === 0) return
    const name = join(folder, `${page.replaceAll('/', '-')}-${files.length}.tsx`)
    files.push({ page, name, text: `${lines.join('\n')}\n${'}'.repeat(open)}\nexport {}\n` })
    lines = []
    open = 0
  }
  for (const { line, code } of blocksOf(markdown)) {
    if (/^import /m.test(code)) end()
    const fence = lines.length === 0 ? '' : `async function block${line}() {`
    if (fence !== '') open++
    while (lines.length < line - 1) lines.push('')
    lines.push(fence, ...code.split('\n'))
  }
  end()
  return files
}

/** The blocks of TypeScript and JavaScript, with the numbers of their fences' lines, counted from 1. */
function blocksOf(markdown: string): { line: number; code: string }[] {
  const fences = /^( *)```(ts|tsx|js|jsx|vue)\n([\s\S]*?)^\1```$/gm
  return [...markdown.matchAll(fences)].map(({ index, 2: language, 3: body }) => ({
    line: markdown.slice(0, index).split('\n').length,
    code: (language === 'vue' ? scriptOf(body!) : body!).trimEnd(),
  }))
}

/** The script of a Vue component, on the lines where it is. */
function scriptOf(component: string): string {
  const { 1: before = '', 2: script = '' } = /^([\s\S]*?<script[^>]*>)([\s\S]*?)<\/script>/.exec(component) ?? []
  return before.replace(/[^\n]/g, '') + script
}
