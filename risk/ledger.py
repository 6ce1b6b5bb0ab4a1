"""The double-entry ledger in memory: accounts, balances, holds and the entries that move them.

Every movement is a pair of entries that sums to zero: funds come from one balance and go to another, the outside world
and the house's fees being accounts too. A hold moves funds from available to held of the same balance and is no entry.
Placing an order holds what it can cost, a trade captures from the hold, the rest is released:

    deposit 100 USDT to A     external -100, A +100                      A available 100
    A bids 60 USDT            (hold)                                     A available 40, held 60
    B sells into 50 of it     A -50 (captured), B +50; fee: B -1, fees +1
    A cancels the rest        (release)                                  A available 50, held 0
"""

from matching.engine.messages import (
    EXTERNAL_ACCOUNT_ID,
    FEES_ACCOUNT_ID,
    HOUSE_ACCOUNT_IDS,
    BalanceChanged,
    EntryPosted,
    Limits,
)


class Balance:
    """Funds of one account in one asset, in its units: available + held. Only house accounts may go negative."""

    __slots__ = ("account_id", "asset_id", "available", "held")

    def __init__(self, account_id: int, asset_id: int, available: int = 0, held: int = 0) -> None:
        self.account_id = account_id
        self.asset_id = asset_id
        self.available = available
        self.held = held


class Account:
    """One account's balances and what its limits are measured by.

    `owner` is the user, shared by a user's accounts. `open_orders`: market id -> how many rest there. `rates`: market
    id -> its fee rates, as long as they are known to hold on `rates_day`.
    """

    __slots__ = (
        "balances",
        "frozen",
        "id",
        "limits",
        "name",
        "open_orders",
        "opened_at",
        "owner",
        "rates",
        "rates_day",
    )

    def __init__(self, id: int, owner: int, name: str, opened_at: int) -> None:
        self.id = id
        self.owner = owner
        self.name = name
        self.opened_at = opened_at
        self.frozen = False
        self.balances: dict[int, Balance] = {}
        self.limits: Limits | None = None
        self.open_orders: dict[int, int] = {}
        self.rates: dict[int, tuple[int, int]] = {}
        self.rates_day = 0

    def balance(self, asset_id: int) -> Balance:
        """The account's balance in an asset, made on first use."""
        balance = self.balances.get(asset_id)
        if balance is None:
            balance = self.balances[asset_id] = Balance(self.id, asset_id)
        return balance


class Ledger:
    """All accounts, and the entries and touched balances of the command at hand (`begin` starts one)."""

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {
            EXTERNAL_ACCOUNT_ID: Account(EXTERNAL_ACCOUNT_ID, 0, "external", 0),
            FEES_ACCOUNT_ID: Account(FEES_ACCOUNT_ID, 0, "fees", 0),
        }
        self.entry_id = 0
        self._sequence = 0
        self._now = 0
        self._events: list[EntryPosted | BalanceChanged] = []
        self._touched: dict[Balance, None] = {}

    def begin(self, sequence: int, now: int) -> None:
        """Start a command: its entries will bear this sequence and time (microseconds)."""
        self._sequence = sequence
        self._now = now

    def finish(self) -> list[EntryPosted | BalanceChanged]:
        """The entries posted and the balances as they stand since `begin`, and forget them."""
        events, self._events = self._events, []
        for balance in self._touched:
            events.append(BalanceChanged(balance.account_id, balance.asset_id, balance.available, balance.held))
        self._touched.clear()
        return events

    def hold(self, balance: Balance, amount: int) -> None:
        """Move `amount` from available to held. The caller has checked that it is there."""
        assert 0 <= amount <= balance.available
        balance.available -= amount
        balance.held += amount
        self._touched[balance] = None

    def release(self, balance: Balance, amount: int) -> None:
        """Move `amount` from held back to available."""
        assert 0 <= amount <= balance.held
        balance.held -= amount
        balance.available += amount
        self._touched[balance] = None

    def pay_held(self, payer: Balance, payee: Balance, amount: int, entry_type: str, reference: int) -> None:
        """Capture `amount` from the payer's hold and credit it to the payee's available."""
        assert 0 < amount <= payer.held
        payer.held -= amount
        self._post(payer, -amount, entry_type, reference)
        payee.available += amount
        self._post(payee, amount, entry_type, reference)

    def pay(self, payer: Balance, payee: Balance, amount: int, entry_type: str, reference: int) -> None:
        """Move `amount` between available balances; a negative amount goes the other way. Zero posts nothing."""
        if amount == 0:
            return
        payer.available -= amount
        assert payer.available >= 0 or payer.account_id in HOUSE_ACCOUNT_IDS
        self._post(payer, -amount, entry_type, reference)
        payee.available += amount
        assert payee.available >= 0 or payee.account_id in HOUSE_ACCOUNT_IDS
        self._post(payee, amount, entry_type, reference)

    def external(self, asset_id: int) -> Balance:
        """The outside world's balance: minus everything that is owed to the accounts."""
        return self.accounts[EXTERNAL_ACCOUNT_ID].balance(asset_id)

    def fees(self, asset_id: int) -> Balance:
        """The fees collected in an asset."""
        return self.accounts[FEES_ACCOUNT_ID].balance(asset_id)

    def _post(self, balance: Balance, amount: int, entry_type: str, reference: int) -> None:
        self.entry_id += 1
        total = balance.available + balance.held
        self._events.append(
            EntryPosted(
                self.entry_id,
                self._sequence,
                balance.account_id,
                balance.asset_id,
                amount,
                total,
                entry_type,
                reference,
                self._now,
            )
        )
        self._touched[balance] = None
