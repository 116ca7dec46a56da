const width = 32

/** Shows how far something is: one line redrawn on a terminal, a line every tenth elsewhere. */
export class Progress {
  readonly #title: string
  readonly #total: number
  readonly #output: NodeJS.WriteStream
  #done = 0

  /** @param options - `total`: how many steps there are; `output`: where to draw, standard error by default. */
  constructor(options: { title: string; total: number; output?: NodeJS.WriteStream }) {
    this.#title = options.title
    this.#total = options.total
    this.#output = options.output ?? process.stderr
    this.#draw()
  }

  /** One step is done. */
  step(): void {
    const tenth = this.#tenth()
    this.#done++
    if (this.#output.isTTY || this.#tenth() > tenth) this.#draw()
  }

  #tenth(): number {
    return Math.floor((this.#done * 10) / this.#total)
  }

  #draw(): void {
    const count = `${this.#done}/${this.#total}`
    if (!this.#output.isTTY) {
      this.#output.write(`${this.#title} ${count}\n`)
      return
    }
    const filled = Math.round((this.#done / this.#total) * width)
    const bar = '█'.repeat(filled) + '░'.repeat(width - filled)
    this.#output.write(`\r${this.#title} ${bar} ${count}${this.#done === this.#total ? '\n' : ''}`)
  }
}
