import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import ts from 'typescript-5'

/** What one import path of a package offers. */
export interface ApiModule {
  /** The package it belongs to: `@millrace/core`. */
  readonly package: string
  /** As users import it: `@millrace/core/adapter`. */
  readonly name: string
  /** Every declaration that users can see, as TypeScript without comments, in a stable order. */
  readonly text: string
  /** What is exported from here and declared in this package: `Worker`, and its members: `Worker.stop`. */
  readonly symbols: readonly ApiSymbol[]
}

export interface ApiSymbol {
  readonly name: string
  readonly kind: 'export' | 'member'
  readonly documented: boolean
}

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly exports?: Record<string, string | { readonly types?: string }>
}

/**
 * Reads the built type declarations of every public package.
 *
 * @param root - the repository's folder.
 * @throws Error when a package is not built.
 */
export function readPublicApi(root: string): ApiModule[] {
  const entries = publicEntries(root)
  const program = ts.createProgram(
    entries.map((entry) => entry.file),
    { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2023, skipLibCheck: true, types: [] },
  )
  return entries.map((entry) => new ModuleReader(program, entry.folder).read(entry))
}

/** An import path of a public package. */
export interface PublicEntry {
  /** `@millrace/core` */
  readonly package: string
  /** `@millrace/core/adapter` */
  readonly name: string
  /** The package's folder. */
  readonly folder: string
  /** Its built type declarations. */
  readonly file: string
}

/**
 * What users can import.
 *
 * @throws Error when a package is not built.
 */
export function publicEntries(root: string): PublicEntry[] {
  const folders = ['packages', 'apps'].flatMap((parent) => readdirSync(join(root, parent)).map((name) => join(root, parent, name)))
  const entries = folders.flatMap((folder) => entriesOf(folder))
  for (const { file } of entries) if (!existsSync(file)) throw new Error(`${file} is missing. Run 'pnpm build' first.`)
  return entries
}

function entriesOf(folder: string): PublicEntry[] {
  const path = join(folder, 'package.json')
  if (!existsSync(path)) return []
  const manifest: Manifest = JSON.parse(readFileSync(path, 'utf8'))
  if (manifest.private) return []
  return Object.entries(manifest.exports ?? {}).flatMap(([subpath, target]) =>
    typeof target === 'object' && target.types
      ? [{ package: manifest.name, name: join(manifest.name, subpath), folder, file: join(folder, target.types) }]
      : [],
  )
}

class ModuleReader {
  readonly #checker: ts.TypeChecker
  readonly #program: ts.Program
  readonly #folder: string
  readonly #printer = ts.createPrinter({ removeComments: true })
  /** Declarations, each with the name that it has in the report before it. */
  readonly #declarations = new Set<string>()
  readonly #exported = new Set<ts.Symbol>()
  readonly #seen = new Set<ts.Symbol>()

  constructor(program: ts.Program, folder: string) {
    this.#program = program
    this.#checker = program.getTypeChecker()
    this.#folder = folder
  }

  read({ package: packageName, name, file }: PublicEntry): ApiModule {
    const module = this.#checker.getSymbolAtLocation(this.#program.getSourceFile(file)!)
    if (!module) throw new Error(`${file} exports nothing.`)
    const symbols: ApiSymbol[] = []
    const exports = this.#checker.getExportsOfModule(module)
    for (const exported of exports) this.#exported.add(this.#resolve(exported))
    for (const exported of exports) {
      const symbol = this.#resolve(exported)
      const origin = this.#origin(symbol)
      if (origin) {
        this.#declarations.add(`${exported.name}\0export { ${exported.name} } from '${origin}'`)
        continue
      }
      // ts-proto exports the entries of map fields too; nobody meets them.
      if (!/_\w+Entry$/.test(exported.name)) symbols.push(...this.#describe(exported.name, symbol))
      this.#print(exported.name, symbol)
    }
    const text = [...this.#declarations].sort().map((declaration) => declaration.slice(declaration.indexOf('\0') + 1))
    return { package: packageName, name, text: text.join('\n\n'), symbols }
  }

  #resolve(symbol: ts.Symbol): ts.Symbol {
    return symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol
  }

  /** The other package that declares the symbol. */
  #origin(symbol: ts.Symbol): string | undefined {
    const file = symbol.declarations?.[0]?.getSourceFile().fileName
    if (!file || file.startsWith(`${this.#folder}/`)) return undefined
    let folder = dirname(file)
    while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
    return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).name
  }

  /** Adds the symbol's declarations to the report, and those of this package that they speak of. */
  #print(name: string, symbol: ts.Symbol): void {
    if (this.#seen.has(symbol)) return
    this.#seen.add(symbol)
    const nodes = (symbol.declarations ?? []).map((node) => (ts.isVariableDeclaration(node) ? node.parent.parent : node))
    const prefix = this.#exported.has(symbol) ? 'export ' : ''
    const texts = [...new Set(nodes)].map((node) => prefix + this.#text(node))
    // The bundler numbers what has the same name in several files, in no order that lasts.
    this.#declarations.add(`${name}\0${texts.join('\n')}`.replace(/\$\d+\b/g, ''))
    for (const node of nodes) this.#printReferences(node)
  }

  #text(node: ts.Node): string {
    const text = this.#printer.printNode(ts.EmitHint.Unspecified, withoutPrivates(node), node.getSourceFile())
    return text.replace(/^(export )?(declare )?/, '')
  }

  #printReferences(node: ts.Node): void {
    const visit = (child: ts.Node): void => {
      if (ts.isClassElement(child) && isPrivate(child)) return
      if (ts.isIdentifier(child)) {
        const found = this.#checker.getSymbolAtLocation(child)
        const symbol = found && this.#resolve(found)
        const declaration = symbol?.declarations?.[0]
        const statement = declaration && ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
        if (symbol && statement?.parent && ts.isSourceFile(statement.parent) && !this.#origin(symbol)) this.#print(symbol.name, symbol)
      }
      ts.forEachChild(child, visit)
    }
    ts.forEachChild(node, visit)
  }

  #describe(name: string, symbol: ts.Symbol): ApiSymbol[] {
    // An overriding member means what it means in the base class.
    const type = this.#checker.getDeclaredTypeOfSymbol(symbol)
    const bases = type.isClassOrInterface() ? this.#checker.getBaseTypes(type) : []
    const isInherited = (member: string) => bases.some((base) => base.getProperty(member))
    const members = [...(symbol.members?.values() ?? [])].filter((member) => {
      const [node] = member.declarations ?? []
      return node && isNamedMember(node) && !isPrivate(node) && !isInherited(member.name) && !member.name.startsWith('__')
    })
    return [
      { name, kind: 'export', documented: this.#isDocumented(symbol) },
      ...members.map(
        (member): ApiSymbol => ({ name: `${name}.${memberName(member)}`, kind: 'member', documented: this.#isDocumented(member) }),
      ),
    ]
  }

  #isDocumented(symbol: ts.Symbol): boolean {
    return symbol.getDocumentationComment(this.#checker).length > 0 || symbol.getJsDocTags(this.#checker).length > 0
  }
}

function isNamedMember(node: ts.Node): boolean {
  return ts.isPropertySignature(node) || ts.isMethodSignature(node) || ts.isClassElement(node)
}

function memberName(member: ts.Symbol): string {
  return ts.unescapeLeadingUnderscores(member.escapedName).replace(/^__@(\w+)@\d+$/, '[Symbol.$1]')
}

function isPrivate(node: ts.Node): boolean {
  const isHidden = ts.isClassElement(node) && node.name !== undefined && ts.isPrivateIdentifier(node.name)
  const modifiers = ts.canHaveModifiers(node) ? ts.getModifiers(node) : undefined
  return isHidden || Boolean(modifiers?.some((modifier) => modifier.kind === ts.SyntaxKind.PrivateKeyword))
}

/** A class without what users cannot reach. */
function withoutPrivates(node: ts.Node): ts.Node {
  if (!ts.isClassDeclaration(node)) return node
  const members = node.members.filter((member) => !isPrivate(member))
  return ts.factory.updateClassDeclaration(node, node.modifiers, node.name, node.typeParameters, node.heritageClauses, members)
}
