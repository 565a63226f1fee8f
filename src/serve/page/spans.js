// Drawn into a chart by hand: hatched spans with their letter, the limit, and the cursor that all charts share.
function hatch(context, line, ground) {
  const tile = document.createElement('canvas');
  tile.width = tile.height = 8;
  const pen = tile.getContext('2d');
  pen.fillStyle = ground;
  pen.fillRect(0, 0, 8, 8);
  pen.strokeStyle = line;
  pen.globalAlpha = 0.6;
  pen.beginPath();
  for (const x of [-8, 0, 8]) { pen.moveTo(x, 8); pen.lineTo(x + 8, 0); }
  pen.stroke();
  return context.createPattern(tile, 'repeat');
}

function vertical(context, x, { top, bottom }, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(Math.round(x) + 0.5, top);
  context.lineTo(Math.round(x) + 0.5, bottom);
  context.stroke();
}

function tag(context, x, y, text, colour) {
  context.fillStyle = colour('bg');
  context.fillRect(x - 8, y, 16, 16);
  context.fillStyle = colour('text');
  context.font = '600 11px ' + getComputedStyle(document.body).fontFamily;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillText(text, x, y + 8.5);
}

export const spansPlugin = (shared, spec, colour) => ({
  id: 'spans',
  beforeDatasetsDraw({ ctx, chartArea, scales: { x } }) {
    const inside = (t) => Math.max(chartArea.left, Math.min(chartArea.right, x.getPixelForValue(t)));
    ctx.save();
    for (const span of shared.spans) {
      const [a, b] = [inside(span.from), inside(span.to)];
      ctx.fillStyle = hatch(ctx, colour('line-strong'), colour('sunk'));
      ctx.fillRect(a, chartArea.top, Math.max(2, b - a), chartArea.bottom - chartArea.top);
      for (const edge of [a, b]) vertical(ctx, edge, chartArea, colour('line-strong'));
      if (spec.letters) tag(ctx, Math.min(chartArea.right - 8, (a + b) / 2), chartArea.top + 5, span.letter, colour);
    }
    ctx.restore();
  },
  afterDatasetsDraw({ ctx, chartArea, scales: { x, y } }) {
    ctx.save();
    const limit = shared.limits[spec.limit];
    if (limit) {
      const at = Math.round(y.getPixelForValue(limit)) + 0.5;
      ctx.strokeStyle = colour('warn-mark');
      ctx.setLineDash([4, 3]);
      ctx.beginPath();
      ctx.moveTo(chartArea.left, at);
      ctx.lineTo(chartArea.right, at);
      ctx.stroke();
      ctx.setLineDash([]);
    }
    if (shared.index !== null) vertical(ctx, x.getPixelForValue(shared.t[shared.index]), chartArea, colour('text'));
    ctx.restore();
  },
});
