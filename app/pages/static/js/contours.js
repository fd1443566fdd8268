/** The line segments where a surface crosses a level, by marching squares. */

/** Segments `[x0, y0, x1, y1]` in grid units (column, row) along which `z[row][column]` is `level`. */
export function contour(z, level) {
  const segments = [];
  for (let row = 0; row + 1 < z.length; row += 1) {
    for (let column = 0; column + 1 < z[row].length; column += 1) {
      segments.push(...crossings(z, row, column, level));
    }
  }
  return segments;
}

/** The segments in one cell: none, one, or two where opposite corners are on the same side. */
function crossings(z, row, column, level) {
  const corners = [
    [column, row, z[row][column]],
    [column + 1, row, z[row][column + 1]],
    [column + 1, row + 1, z[row + 1][column + 1]],
    [column, row + 1, z[row + 1][column]],
  ];
  const points = [];
  corners.forEach((from, index) => {
    const to = corners[(index + 1) % 4];
    if (from[2] < level !== to[2] < level) {
      const share = (level - from[2]) / (to[2] - from[2]);
      points.push([from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]);
    }
  });
  if (points.length < 4) {
    return points.length ? [points.flat()] : [];
  }
  // A saddle: the value in the middle says which two corners belong together.
  const middle = corners.reduce((sum, corner) => sum + corner[2], 0) / 4;
  const joined = corners[0][2] < level === middle < level;
  const pairs = joined ? [[0, 1], [2, 3]] : [[3, 0], [1, 2]];
  return pairs.map(([first, second]) => [...points[first], ...points[second]]);
}
