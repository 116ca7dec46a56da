import { type Picture, paint } from '@millrace/example-web/fractal'
import { useEffect, useRef } from 'react'

/** Shows a picture. */
export function Canvas({ picture }: { readonly picture: Picture }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  useEffect(() => {
    if (canvas.current) paint(canvas.current, picture)
  }, [picture])
  return <canvas ref={canvas} aria-label={picture.name} />
}
