/** Numbers and codes in words. */

/** A number with as many digits as a reader can use. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e7)) return value.toExponential(digits - 1);
  if (size >= 10 ** digits) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(digits)));
}

/** A share as a percentage. */
export const percent = (share) =>
  share > 0 && share < 0.001 ? "under 0.1\u00a0%" : `${number(100 * share, share < 0.1 ? 2 : 3)}\u00a0%`;

/** A probability, short. */
export const probability = (share) =>
  share > 0 && share < 0.001 ? "< 0.001" : share < 1 && share > 0.999 ? "> 0.999" : share.toFixed(3);

/** A value with its standard error, the value rounded to what the error leaves of it. */
export function withError(value, error) {
  if (!(error > 0)) return number(value);
  const size = Math.max(Math.abs(value), error);
  if (size < 1e-4 || size >= 1e7) {
    const digits = Math.min(8, 1 + Math.floor(Math.log10(size)) - Math.floor(Math.log10(error)));
    return `${value.toExponential(digits)} ±\u00a0${error.toExponential(1)}`;
  }
  const places = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(error))));
  return `${value.toFixed(places)} ±\u00a0${error.toFixed(places)}`;
}

/** The Monte-Carlo error of a std, upward, from that of its square. */
export const stdError = (std, varianceError) => Math.sqrt(std * std + varianceError) - std;

const WARNINGS = {
  outside_training_range: (feature) =>
    `${feature} is outside the range of the training rows: the model extrapolates.`,
  imputed: (feature) =>
    `${feature} has no value in this row: the model fills in a usual one, as it was trained to.`,
  no_training_range: () => "An imported model has no training range for some feature: nothing is compared.",
  unseen_combination: () =>
    "Each value is in its range, but no training row is near this combination of them.",
  unusual_spread: () => "The spread is larger than that of nearly all held-out rows.",
  no_dropout: () => "All dropout rates are 0: the passes cannot disagree, and the variance is 0.",
  no_calibration: () => "The model has no calibration rows: its regions promise nothing.",
  calibrated_with: (estimator, passes) =>
    `The region was calibrated with ${passes} ${estimator} passes, and this answer has others.`,
};

const OF_FEATURES = new Set(["outside_training_range", "imputed"]);

/** The codes of warnings that have a sentence. */
export const known = Object.keys(WARNINGS);

/** A warning's code, such as "outside_training_range:bmi", as a sentence. */
export function warning(code) {
  const [kind, ...parts] = code.split(":");
  if (OF_FEATURES.has(kind)) return WARNINGS[kind](parts.join(":")); // names may have one
  return WARNINGS[kind]?.(...parts) ?? `${code.replaceAll("_", " ")}.`;
}
