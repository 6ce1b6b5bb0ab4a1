// The cases of the ticket's arithmetic, orders/static/orders/amounts.js and estimate.js; tests/test_floor_js.py runs them.

import assert from "node:assert/strict";
import test from "node:test";

import * as amounts from "../orders/static/orders/amounts.js";
import { estimate, moved, walk } from "../orders/static/orders/estimate.js";

const units = amounts.unitsOf;
const text = amounts.textOf;
const level = ([price, quantity]) => [units(price), units(quantity)];
const BOOK = [
  ["100.00", "0.5"],
  ["100.50", "1"],
  ["103.00", "2"],
].map(level);
const market = {
  lot: units("0.001"),
  rates: { maker: units("0.001"), taker: units("0.0015") },
  feeStep: units("0.00000001"),
};
const order = (fields) => ({
  side: "buy",
  type: "limit",
  price: null,
  quantity: null,
  quoteAmount: null,
  timeInForce: "gtc",
  ...fields,
});
const estimated = (fields, levels = BOOK) => estimate({ order: order(fields), levels, ...market });

test("text becomes units and text again, nothing is lost", () => {
  for (const one of ["0", "0.000000000000000001", "12345678901234567890", "43000.01", "100"])
    assert.equal(text(units(one)), one);
  assert.equal(text(units("1.50"), 2), "1.50");
  assert.equal(text(units("1.5"), 0), "1.5");
  assert.equal(text(units(".5")), "0.5");
  assert.equal(text(-units("0.25")), "-0.25");
});

test("what is no plain decimal is null", () => {
  for (const one of ["", ".", "-1", "1e3", "1,5", " 1", "0.0000000000000000001", "abc", undefined])
    assert.equal(units(one), null);
});

test("steps are kept in both directions", () => {
  const lot = units("0.00001");
  assert.equal(text(amounts.roundedDown(units("0.0000199"), lot)), "0.00001");
  assert.equal(text(amounts.roundedUp(units("0.0000101"), lot)), "0.00002");
  assert.equal(text(amounts.roundedUp(units("0.00002"), lot)), "0.00002");
  assert.equal(text(amounts.roundedUp(-units("0.0000199"), lot)), "-0.00001");
});

test("a limit order that does not reach the book waits as a maker", () => {
  const { traded, resting, total, fee, receives, cost } = estimated({ price: units("99"), quantity: units("2") });
  assert.equal(traded.quantity, 0n);
  assert.equal(text(resting), "2");
  assert.equal(text(total), "198");
  assert.equal(text(cost), "198");
  assert.equal(text(fee), "0.002");
  assert.equal(text(receives), "1.998");
});

test("a limit order trades up to its price and waits with the rest, at both rates", () => {
  const { traded, resting, fee, total, cost, average } = estimated({ price: units("100.50"), quantity: units("2") });
  assert.equal(text(traded.quantity), "1.5");
  assert.equal(text(traded.notional), "150.5");
  assert.equal(text(resting), "0.5");
  assert.equal(text(fee), "0.00275");
  assert.equal(text(total), "200.75");
  assert.equal(text(cost), "201");
  assert.equal(text(average).slice(0, 10), "100.333333");
});

test("immediate-or-cancel leaves nothing waiting, fill-or-kill does all or nothing", () => {
  assert.equal(estimated({ price: units("100.50"), quantity: units("2"), timeInForce: "ioc" }).resting, 0n);
  const killed = estimated({ price: units("100.50"), quantity: units("2"), timeInForce: "fok" });
  assert.deepEqual([killed.traded.quantity, killed.total, killed.receives], [0n, 0n, 0n]);
  assert.equal(text(estimated({ price: units("100.50"), quantity: units("1.5"), timeInForce: "fok" }).total), "150.5");
});

test("a market order walks the book, and says how far", () => {
  const { traded, slippage, cost } = estimated({ type: "market", quantity: units("2"), timeInForce: "ioc" });
  assert.equal(text(traded.notional), "202");
  assert.equal(text(traded.last), "103");
  assert.equal(text(cost), "202");
  assert.equal(text(slippage), "0.01");
  assert.equal(text(moved(traded.first, traded.last)), "0.03");
});

test("a market buy by amount buys whole lots and never spends more", () => {
  const { traded, cost, receives } = estimated({ type: "market", quoteAmount: units("120.33"), timeInForce: "ioc" });
  assert.equal(text(traded.quantity), "1.199"); // 50.00 for 0.5, then 70.33 / 100.50 in lots of 0.001
  assert.equal(text(traded.notional), "120.2495");
  assert.equal(traded.complete, true);
  assert.equal(text(cost), "120.33");
  assert.equal(text(receives), "1.1972015");
});

test("what the book cannot give is told", () => {
  const { traded } = estimated({ type: "market", quantity: units("5"), timeInForce: "ioc" });
  assert.equal(text(traded.quantity), "3.5");
  assert.equal(traded.complete, false);
  assert.equal(estimated({ type: "market", quantity: units("5"), timeInForce: "ioc" }, []).average, null);
});

test("a sale costs the base and pays its fee in quote, rounded up trade by trade", () => {
  const bids = [
    ["100.01", "0.001"],
    ["99.99", "0.003"],
  ].map(level);
  const { fee, receives, cost, total } = estimate({
    order: order({ side: "sell", type: "market", quantity: units("0.004"), timeInForce: "ioc" }),
    levels: bids,
    ...market,
    feeStep: units("0.0001"),
  });
  assert.equal(text(cost), "0.004");
  assert.equal(text(total), "0.39998");
  assert.equal(text(fee), "0.0007"); // 0.000150015 and 0.000449955, each rounded up to 0.0001
  assert.equal(text(receives), "0.39928");
});

test("a rebate is what one gets, and is rounded down", () => {
  const rebate = { maker: -units("0.0002"), taker: units("0.0005") };
  const { fee, receives } = estimate({
    order: order({ price: units("99"), quantity: units("0.033") }),
    levels: BOOK,
    ...market,
    rates: rebate,
    feeStep: units("0.00001"),
  });
  assert.equal(text(fee), "0");
  assert.equal(text(receives), "0.033");
});

test("the walk asks the book only as far as it needs", () => {
  let asked = 0;
  const levels = (function* () {
    for (const one of BOOK) {
      asked += 1;
      yield one;
    }
  })();
  walk({ levels, side: "buy", limit: null, quantity: units("0.5"), lot: market.lot, rate: 0n, feeStep: 1n });
  assert.equal(asked, 1);
});
