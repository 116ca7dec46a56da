/** What the worker is asked to paint: a place of the Mandelbrot set. */
export interface Place {
  readonly name: string
  readonly x: number
  readonly y: number
  /** Width of the picture on the plane. */
  readonly width: number
}

/** A picture: a character for each pixel, '0' (inside the set) to 'z'. */
export interface Picture {
  readonly name: string
  readonly columns: number
  readonly rows: readonly string[]
}

/** Places worth a visit. */
export const places: readonly Place[] = [
  { name: 'The whole set', x: -0.6, y: 0, width: 3.4 },
  { name: 'Seahorse valley', x: -0.7453, y: 0.1127, width: 0.0065 },
  { name: 'Elephant valley', x: 0.2885, y: 0.0125, width: 0.025 },
  { name: 'Spiral', x: -0.761574, y: -0.0847596, width: 0.0018 },
  { name: 'Lightning', x: -1.315180982, y: 0.0734817, width: 0.0017 },
]

/** Paints a picture on a canvas. */
export function paint(canvas: HTMLCanvasElement, { columns, rows }: Picture): void {
  canvas.width = columns
  canvas.height = rows.length
  const context = canvas.getContext('2d')!
  const image = context.createImageData(columns, rows.length)
  rows.forEach((row, y) => {
    for (let x = 0; x < columns; x++) image.data.set(colour(Number.parseInt(row[x]!, 36) / 35), (y * columns + x) * 4)
  })
  context.putImageData(image, 0, 0)
}

/** From night blue over orange to white; the inside is black. */
function colour(t: number): [number, number, number, number] {
  if (t === 0) return [8, 9, 14, 255]
  const wave = (phase: number) => Math.round(255 * Math.min(1, 0.5 + 0.5 * Math.cos(6.2832 * (0.95 * t + phase))))
  return [wave(0.55), wave(0.42) * 0.92, wave(0.28), 255]
}
