// Exact arithmetic for the ticket: inside, an amount is a BigInt of 10^-18 ("units"); outside it is decimal text.
// Eighteen decimals are the most that an asset of the exchange can have, so nothing is lost on the way in.

const DECIMALS = 18;
const ONE = 10n ** BigInt(DECIMALS);
const PLAIN = /^(\d{0,20})(?:\.(\d{0,18}))?$/;

/** Units of a plain decimal text such as "101.25"; null for text that is none. */
export function unitsOf(text) {
  const match = PLAIN.exec(text ?? "");
  if (!match || !/\d/.test(text)) return null;
  return BigInt(match[1] || "0") * ONE + BigInt((match[2] ?? "").padEnd(DECIMALS, "0"));
}

/** Decimal text of units, without zeros at its end beyond `decimals` decimals. */
export function textOf(units, decimals = 0) {
  const digits = (units < 0n ? -units : units).toString().padStart(DECIMALS + 1, "0");
  const fraction = digits.slice(-DECIMALS).replace(/0+$/, "").padEnd(decimals, "0");
  const whole = (units < 0n ? "-" : "") + digits.slice(0, -DECIMALS);
  return fraction ? `${whole}.${fraction}` : whole;
}

/** a * b, both in units; rounded down where it needs more than 18 decimals. */
export function times(a, b) {
  return (a * b) / ONE;
}

/** a / b in units, rounded down. */
export function dividedBy(a, b) {
  return (a * ONE) / b;
}

/** The largest multiple of `step` that is not above `units`. */
export function roundedDown(units, step) {
  return units - (units % step);
}

/** The smallest multiple of `step` that is not below `units`. */
export function roundedUp(units, step) {
  const near = units - (units % step); // BigInt's remainder has the sign of `units`
  return near < units ? near + step : near;
}

/** One unit of the last of `decimals` decimals. */
export function stepOf(decimals) {
  return 10n ** BigInt(DECIMALS - decimals);
}

export const least = (a, b) => (a < b ? a : b);
