/** How a loss becomes a colour: one scale for all surfaces of a plane, so that they can be compared. */

// Viridis (CC0, by N. Smith and S. van der Walt): equal steps look equal, without colour vision too.
const STOPS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
];

/**
 * The scale of some values: `share(value)` in [0, 1], and `value(share)`, its inverse.
 *
 * A loss is low in a valley and huge at the edges. Half of the scale goes to the half of the values
 * that are lowest: the share is a logarithm whose curvature puts the median in the middle.
 */
export function scaleOf(values) {
  const sorted = Float64Array.from(values).sort();
  const low = sorted[0];
  const span = sorted[sorted.length - 1] - low || 1;
  const middle = (sorted[Math.floor(sorted.length / 2)] - low) / span;
  // log(1 + c m) = log(1 + c) / 2 has the solution c = (1 - 2 m) / m^2.
  const curvature = Math.max((1 - 2 * middle) / Math.max(middle, 1e-3) ** 2, 1e-3);
  const whole = Math.log1p(curvature);
  return {
    low,
    high: low + span,
    share: (value) =>
      Math.min(Math.max(Math.log1p((curvature * (value - low)) / span) / whole, 0), 1),
    value: (share) => low + (span * Math.expm1(share * whole)) / curvature,
  };
}

/** The colour of a share in [0, 1], as red, green and blue. */
export const colour = (share) => PALETTE[Math.round(share * (PALETTE.length - 1))];

const PALETTE = Array.from({ length: 512 }, (_, step) => {
  const place = (step / 511) * (STOPS.length - 1);
  const index = Math.min(Math.floor(place), STOPS.length - 2);
  const mixed = (from, channel) => from + (place - index) * (STOPS[index + 1][channel] - from);
  return STOPS[index].map(mixed).map(Math.round);
});
