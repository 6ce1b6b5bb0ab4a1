// Rendering at the pace of the screen: whatever happens between two frames is drawn once.

/** A function that has `draw` called once before the next frame, however often it is called until then. */
export function oncePerFrame(draw) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw();
    });
  };
}

/** The same, but at most every `pauseMs`, for what is expensive to draw. */
export function atMostEvery(pauseMs, draw) {
  let drawnAt = -Infinity;
  let timer = 0;
  const inFrame = oncePerFrame(() => {
    drawnAt = performance.now();
    draw();
  });
  return () => {
    if (timer) return;
    const pause = drawnAt + pauseMs - performance.now();
    if (pause <= 0) inFrame();
    else
      timer = setTimeout(() => {
        timer = 0;
        inFrame();
      }, pause);
  };
}
