// How the graph's nodes, names and flows look, stroke by stroke.

const DASH = 9;
const STEP = 26;

/** A node: filled if it is this one, dashed if it is not there, in a ring if it is marked. */
export function dot(pen, ink, node, at, size, marked) {
  pen.beginPath();
  shape(pen, node, at, size + 3);
  pen.fillStyle = ink.surface;
  pen.fill();
  pen.beginPath();
  shape(pen, node, at, size);
  pen.lineWidth = 1.6;
  pen.strokeStyle = node.online ? ink.accent : ink.muted;
  pen.fillStyle = node.me ? ink.accent : node.online ? ink.soft : ink.surface;
  pen.setLineDash(node.online ? [] : [2, 2]);
  pen.fill();
  pen.stroke();
  pen.setLineDash([]);
  if (marked) {
    pen.beginPath();
    pen.arc(at.x, at.y, size + 6, 0, 2 * Math.PI);
    pen.strokeStyle = ink.text;
    pen.stroke();
  }
}

/** What a node is called, under it; bold if it is this one or marked. */
export function label(pen, ink, node, at, marked) {
  pen.font = `${marked || node.me ? "600 " : ""}12px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.lineJoin = "round";
  pen.lineWidth = 4;
  pen.strokeStyle = ink.surface;
  pen.fillStyle = node.online ? ink.text : ink.muted;
  const text = node.name.length > 22 ? `${node.name.slice(0, 21)}…` : node.name;
  pen.strokeText(text, at.x, at.y + 23);
  pen.fillText(text, at.x, at.y + 23);
}

/** Short strokes on their way along a line, faster where more flows. */
export function dashes(pen, [from, to], now, rate) {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const pace = 12 + 9 * Math.log10(1 + rate);
  const [alongX, alongY] = [(to.x - from.x) / length, (to.y - from.y) / length];
  for (let far = ((now / 1000) * pace) % STEP; far < length - 8; far += STEP) {
    if (far < 8) continue;
    const end = Math.min(length - 8, far + DASH);
    pen.moveTo(from.x + alongX * far, from.y + alongY * far);
    pen.lineTo(from.x + alongX * end, from.y + alongY * end);
  }
}

/** Square: CA, scribe and operators. Diamond: exits. Circle: all others. */
function shape(pen, node, at, size) {
  if (node.roles.includes("exit")) {
    const reach = size * 1.3;
    pen.moveTo(at.x, at.y - reach);
    pen.lineTo(at.x + reach, at.y);
    pen.lineTo(at.x, at.y + reach);
    pen.lineTo(at.x - reach, at.y);
    pen.closePath();
  } else if (node.roles.length) pen.roundRect(at.x - size, at.y - size, 2 * size, 2 * size, size / 2.5);
  else pen.arc(at.x, at.y, size, 0, 2 * Math.PI);
}
