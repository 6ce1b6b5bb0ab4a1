// The cases of trading/static/trading/format.js; tests/test_format_js.py runs them.

import assert from "node:assert/strict";
import test from "node:test";

import * as format from "../trading/static/trading/format.js";

test("thousands are grouped in text, decimals are left alone", () => {
  assert.equal(format.group("1234567.1234567"), "1,234,567.1234567");
  assert.equal(format.group("999"), "999");
  assert.equal(format.group("-1000"), "\u22121,000");
});

test("prices and quantities have exactly the market's decimals", () => {
  assert.equal(format.price("43000", 2), "43,000.00");
  assert.equal(format.price("0.053490", 5), "0.05349");
  assert.equal(format.quantity("1.999", 2), "1.99");
  assert.equal(format.price("12.7", 0), "12");
  assert.equal(format.price(null, 2), "\u2013");
});

test("amounts lose their zeros, but not below two decimals", () => {
  assert.equal(format.amount("100000000.00000000"), "100,000,000.00");
  assert.equal(format.amount("0.00000001"), "0.00000001");
  assert.equal(format.amount("1.50000"), "1.50");
  assert.equal(format.trimmed("100"), "100");
});

test("decimals beyond a float's digits are exact", () => {
  assert.equal(format.addDecimals("9007199254740993.00000001", "0.1"), "9007199254740993.10000001");
  assert.equal(format.addDecimals("0.1", "0.2"), "0.3");
  assert.equal(format.subtractDecimals("1", "1.00000001"), "-0.00000001");
  assert.equal(format.multiplyDecimals("43000.01", "0.00015"), "6.4500015");
  assert.equal(format.multiplyDecimals("-2.5", "4"), "-10.0");
});

test("comparing looks at the value, not the text", () => {
  assert.equal(format.compareDecimals("1.0", "1"), 0);
  assert.equal(format.compareDecimals("10", "9.99999999"), 1);
  assert.equal(format.compareDecimals("-1", "0"), -1);
});

test("what is no decimal is refused", () => {
  for (const text of ["", "1e3", "NaN", "1,000", ".5", "1.", " 1"])
    assert.throws(() => format.addDecimals(text, "1"), RangeError, text);
});

test("percent rounds half away from zero and always shows its sign", () => {
  assert.equal(format.percent("0.012345"), "+1.23\u00a0%");
  assert.equal(format.percent("-0.012350"), "\u22121.24\u00a0%");
  assert.equal(format.percent("0.000000"), "0.00\u00a0%");
  assert.equal(format.percent("-0.00001"), "0.00\u00a0%");
  assert.equal(format.percent("12"), "+1,200.00\u00a0%");
  assert.equal(format.percent(null), "\u2013");
});

test("times are local, and the tooltip names the zone", () => {
  assert.equal(format.timeOfDay("2026-01-02T03:04:05.678Z"), "04:04:05");
  assert.match(format.dateTime("2026-01-02T03:04:05.678Z"), /^2 Jan 2026, 04:04:05 (CET|GMT\+1)$/);
  assert.match(format.shortDate("2001-07-02T03:04:05Z"), /^2 Jul 2001$/);
  assert.match(format.day("2001-07-02T03:04:05Z"), /^2 Jul 2001$/);
});
