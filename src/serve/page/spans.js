// Drawn into a chart by hand: hatched pauses, the limit, and the point that all charts read.
function hatch(context, line, ground) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 8;
  const pen = tile.getContext('2d');
  pen.fillStyle = ground;
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = line;
  pen.globalAlpha = 0.6;
  for (const x of [-8, 0, 8]) { pen.moveTo(x, 8); pen.lineTo(x + 8, 0); }
  pen.stroke();
  return context.createPattern(tile, 'repeat');
}

function line(context, colour, x1, y1, x2, y2, dash = []) {
  const sharp = (n) => Math.round(n) + 0.5;
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.setLineDash(dash);
  context.beginPath();
  context.moveTo(sharp(x1), sharp(y1));
  context.lineTo(sharp(x2), sharp(y2));
  context.stroke();
}

function tag(context, colour, x, y, text) {
  context.fillStyle = colour('bg');
  context.fillRect(x - 8, y, 16, 16);
  context.fillStyle = colour('text');
  context.font = '600 11px ' + getComputedStyle(document.body).fontFamily;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(text, x, y + 8.5);
}

export const spans = (shared, spec, colour) => ({
  beforeDatasetsDraw({ ctx, chartArea: { left, right, top, bottom }, scales: { x } }) {
    ctx.save();
    for (const pause of shared.pauses) {
      const [a, b] = [pause.from, pause.to].map((t) => Math.max(left, Math.min(right, x.getPixelForValue(t))));
      ctx.fillStyle = hatch(ctx, colour('line-strong'), colour('sunk'));
      ctx.fillRect(a, top, Math.max(2, b - a), bottom - top);
      for (const edge of [a, b]) line(ctx, colour('line-strong'), edge, top, edge, bottom);
      if (spec.letters) tag(ctx, colour, Math.min(right - 8, (a + b) / 2), top + 5, pause.letter);
    }
    ctx.restore();
  },
  afterDatasetsDraw({ ctx, chartArea: { left, right, top, bottom }, scales: { x, y } }) {
    ctx.save();
    const limit = shared.limits[spec.limit];
    const at = x.getPixelForValue(shared.series.t[shared.index]);
    if (limit) line(ctx, colour('warn-mark'), left, y.getPixelForValue(limit), right, y.getPixelForValue(limit), [4, 3]);
    if (shared.index !== null) line(ctx, colour('text'), at, top, at, bottom);
    ctx.restore();
  },
});
