// Numbers and times as people read them. Decimals stay text from the server to the screen: what is compared or summed
// goes through BigInt, never through a float.

const GROUPS = /\B(?=(\d{3})+$)/g;
const MINUS = "\u2212";
const NOTHING = "\u2013";

/** {units, scale} of a plain decimal text: "-1.50" is {-150n, 2}. Throws for text that is no decimal. */
function parse(text) {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) throw new RangeError(`not a decimal: ${text}`);
  const fraction = match[3] ?? "";
  const units = BigInt(match[2] + fraction);
  return { units: match[1] ? -units : units, scale: fraction.length };
}

/** Decimal text of units of 10^-scale, every decimal kept. */
function textOf(units, scale) {
  const digits = (units < 0n ? -units : units).toString().padStart(scale + 1, "0");
  const text = scale ? `${digits.slice(0, -scale)}.${digits.slice(-scale)}` : digits;
  return units < 0n ? `-${text}` : text;
}

function aligned(a, b) {
  const [left, right] = [parse(a), parse(b)];
  const scale = Math.max(left.scale, right.scale);
  const to = ({ units, scale: own }) => units * 10n ** BigInt(scale - own);
  return [to(left), to(right), scale];
}

/** -1, 0 or 1 as decimal text a is below, equal to or above b. */
export function compareDecimals(a, b) {
  const [left, right] = aligned(a, b);
  return left < right ? -1 : left > right ? 1 : 0;
}

/** a + b, exact. */
export function addDecimals(a, b) {
  const [left, right, scale] = aligned(a, b);
  return textOf(left + right, scale);
}

/** a - b, exact. */
export function subtractDecimals(a, b) {
  const [left, right, scale] = aligned(a, b);
  return textOf(left - right, scale);
}

/** a * b, exact: as many decimals as both have together. */
export function multiplyDecimals(a, b) {
  const [left, right] = [parse(a), parse(b)];
  return textOf(left.units * right.units, left.scale + right.scale);
}

/** Decimal text with exactly `decimals` decimals: padded with zeros, or cut towards zero. */
export function withDecimals(text, decimals) {
  const { units, scale } = parse(text);
  const cut =
    scale > decimals ? units / 10n ** BigInt(scale - decimals) : units * 10n ** BigInt(decimals - scale);
  return textOf(cut, decimals);
}

/** Decimal text without the zeros at its end: "1.500" is "1.5", "2.00" is "2". */
export function trimmed(text) {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** Decimal text with a comma between thousands; the decimals stay as they are. */
export function group(text) {
  const [whole, fraction] = text.replace(/^-/, MINUS).split(".");
  const grouped = whole.replace(GROUPS, ",");
  return fraction === undefined ? grouped : `${grouped}.${fraction}`;
}

/** A price with the market's tick decimals: price("43000", 2) is "43,000.00". A dash for none. */
export function price(text, decimals) {
  return text == null ? NOTHING : group(withDecimals(text, decimals));
}

/** A quantity with the market's lot decimals. A dash for none. */
export function quantity(text, decimals) {
  return price(text, decimals);
}

/** An amount as exact as it is, without zeros at its end but with two decimals at least. A dash for none. */
export function amount(text) {
  if (text == null) return NOTHING;
  const short = trimmed(text);
  const decimals = short.split(".")[1]?.length ?? 0;
  return group(withDecimals(short, Math.max(2, decimals)));
}

/** A fraction ("0.012345") as percent with a sign and two decimals, rounded half away from zero: "+1.23 %". */
export function percent(fraction) {
  if (fraction == null) return NOTHING;
  const { units, scale } = parse(fraction);
  const size = units < 0n ? -units : units;
  const hundredths = scale > 4 ? (size + 5n * 10n ** BigInt(scale - 5)) / 10n ** BigInt(scale - 4) : size * 10n ** BigInt(4 - scale);
  const sign = hundredths === 0n ? "" : units < 0n ? MINUS : "+";
  return `${sign}${group(textOf(hundredths, 2))}\u00a0%`;
}

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const whole = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  year: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
});

/** The local time of day of an ISO 8601 time: "14:05:09". */
export function timeOfDay(iso) {
  return time.format(new Date(iso));
}

/** The local date and time with the zone, for tooltips: "23 Nov 2026, 14:05:09 UTC". */
export function dateTime(iso) {
  return whole.format(new Date(iso));
}

const thisYear = new Intl.DateTimeFormat("en-GB", {
  day: "numeric",
  month: "short",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});
const otherYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

/** The local date and time, or the date with its year when that is not this one: "23 Nov, 14:05:09". */
export function shortDate(iso) {
  const at = new Date(iso);
  return (at.getFullYear() === new Date().getFullYear() ? thisYear : otherYear).format(at);
}

/** The local date: "23 Nov 2026". */
export function day(iso) {
  return otherYear.format(new Date(iso));
}
