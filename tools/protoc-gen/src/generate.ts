import type { DescFile, DescMethod } from '@bufbuild/protobuf'
import type { Schema } from '@bufbuild/protoplugin'
import { openApi } from './openapi.ts'
import { type Binding, Options } from './options.ts'
import { enumShapeOf, nameOf, type Reference, shapeOf } from './shape.ts'

/** Writes `http/<file>.ts` for each proto of ours, `http/index.ts` with the table of all routes, and `openapi.json`. */
export function generateRoutes(schema: Schema): void {
  const options = new Options(schema.allFiles)
  const files = schema.files.filter((file) => file.proto.package.startsWith('millrace.'))
  const methods = files
    .flatMap((file) => file.services.flatMap((service) => service.methods))
    .filter((method) => options.bindings(method).length > 0)
  refuseSameNames(methods)
  const used = usedTypes(methods)
  const written: string[] = []
  for (const file of files) {
    const types = [...schema.typesInFile(file)].filter((type): type is Reference => used.has(type as Reference))
    const routes = methods.filter((method) => method.parent.file === file)
    if (types.length + routes.length === 0) continue
    written.push(baseOf(file))
    const code = new FileWriter(file, options)
    for (const type of types) code.type(type)
    for (const route of routes) code.route(route)
    schema.generateFile(`http/${baseOf(file)}.ts`).print(code.text())
  }
  schema.generateFile('http/index.ts').print(indexText(written, methods, options))
  schema.generateFile('openapi.json').print(JSON.stringify(openApi(methods, used, options)))
}

/** Writes the shapes and the routes of one proto file. */
class FileWriter {
  readonly #file: DescFile
  readonly #options: Options
  readonly #shapes = new Map<string, Set<string>>()
  readonly #types = new Set<string>()
  readonly #begun = new Set<Reference>()
  readonly #written = new Set<Reference>()
  readonly #body: string[] = []

  constructor(file: DescFile, options: Options) {
    this.#file = file
    this.#options = options
  }

  /** Writes a type once, after those of this file that it refers to: a shape holds the shapes of its fields. */
  type(type: Reference): void {
    if (this.#written.has(type)) return
    const name = nameOf(type)
    if (type.kind === 'enum') {
      this.#written.add(type)
      this.#body.push(`/** The names of ${name}. */`, `export const ${name}: EnumShape = ${quote(enumShapeOf(type))}`)
      return
    }
    const { fields, references } = shapeOf(type, this.#options)
    if (this.#begun.has(type)) throw new Error(`${type.typeName} holds itself, which has no form in JSON here`)
    this.#begun.add(type)
    for (const to of references) if (to.file === this.#file) this.type(to)
    this.#written.add(type)
    const refer = references.map((to) => `, ${this.#shape(to)}`).join('')
    this.#body.push(`/** The shape of ${name}. */`)
    this.#body.push(`export const ${name}: Shape<${this.#type(type)}> = [${quote(fields)}${refer}]`)
  }

  route(method: DescMethod): void {
    const [first, ...others] = this.#options.bindings(method)
    const types = `${this.#type(method.input)}, ${this.#type(method.output)}`
    const parts = [quote(pathOf(method)), quote(bindingText(first!)), this.#shape(method.input), this.#shape(method.output)]
    if (method.methodKind === 'server_streaming') parts.push(quote(this.#options.events(method)))
    const also = others.map((other) => ` Also \`${bindingText(other)}\`.`).join('')
    this.#body.push(`/** \`${bindingText(first!)}\`.${also} */`)
    this.#body.push(`export const ${method.localName}: HttpRoute<${types}> = [${parts.join(', ')}]`)
  }

  text(): string {
    const types = ['EnumShape', 'HttpRoute', 'Shape'].filter((name) => this.#body.some((line) => new RegExp(`: ${name}\\b`).test(line)))
    const lines = [header(this.#file.proto.name), `import type { ${types.join(', ')} } from '../../http/shape.ts'`]
    for (const module of [...this.#types].sort()) lines.push(`import type * as ${aliasOf(module)} from '../${module}.ts'`)
    for (const [module, names] of [...this.#shapes].sort()) lines.push(`import { ${[...names].sort().join(', ')} } from './${module}.ts'`)
    return [...lines, '', ...this.#body].join('\n')
  }

  /** The type of a message, imported. */
  #type(type: Reference): string {
    this.#types.add(type.file.name)
    return `${aliasOf(type.file.name)}.${nameOf(type)}`
  }

  /** The constant of a shape, imported where it is in another file. */
  #shape(type: Reference): string {
    const name = nameOf(type)
    if (type.file === this.#file) return name
    const module = baseOf(type.file)
    this.#shapes.set(module, (this.#shapes.get(module) ?? new Set()).add(name))
    return name
  }
}

function indexText(modules: readonly string[], methods: readonly DescMethod[], options: Options): string {
  const entries = methods.flatMap((method) => {
    const [, ...others] = options.bindings(method)
    const name = `${baseOf(method.parent.file)}.${method.localName}`
    return [`[${name}]`, ...others.map((other) => `[${name}, ${quote(bindingText(other))}]`)]
  })
  return [
    header('every service'),
    "import type { HttpBinding } from '../../http/shape.ts'",
    ...modules
      .filter((module) => entries.some((entry) => entry.startsWith(`[${module}.`)))
      .map((module) => `import * as ${module} from './${module}.ts'`),
    '',
    ...modules.map((module) => `export * from './${module}.ts'`),
    '',
    '/** Every route of every service, and each further way to reach it. */',
    `export const httpBindings: readonly HttpBinding[] = [\n  ${entries.join(',\n  ')},\n]`,
  ].join('\n')
}

/** What the messages of these methods are made of. */
function usedTypes(methods: readonly DescMethod[]): ReadonlySet<Reference> {
  const used = new Set<Reference>()
  const add = (type: Reference | undefined): void => {
    if (!type || used.has(type) || type.typeName.startsWith('google.')) return
    used.add(type)
    if (type.kind === 'message') for (const field of type.fields) add(field.message ?? field.enum)
  }
  for (const { input, output } of methods) {
    add(input)
    add(output)
  }
  return used
}

/** Routes are exported by the names of their methods. */
function refuseSameNames(methods: readonly DescMethod[]): void {
  const known = new Map<string, DescMethod>()
  for (const method of methods) {
    const other = known.get(method.localName)
    if (other) throw new Error(`${method} and ${other} have the same name; give one of them another`)
    known.set(method.localName, method)
  }
}

function pathOf(method: DescMethod): string {
  return `${method.parent.name}/${method.name}`
}

function bindingText({ verb, template, body }: Binding): string {
  return `${verb} ${template}${body && ` ${body}`}`
}

function baseOf(file: DescFile): string {
  return file.name.slice(file.name.lastIndexOf('/') + 1)
}

function aliasOf(module: string): string {
  return module.slice(module.lastIndexOf('/') + 1).replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())
}

function quote(text: string): string {
  return `'${text}'`
}

function header(source: string): string {
  return `// Code generated by protoc-gen-millrace_http. DO NOT EDIT.\n// source: ${source}\n`
}
