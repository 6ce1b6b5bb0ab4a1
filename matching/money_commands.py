"""What the commands that move money between accounts and the outside world do: accounts, deposits, withdrawals."""

from matching.engine.messages import (
    EXTERNAL_ACCOUNT_ID,
    FEES_ACCOUNT_ID,
    HOUSE_ACCOUNT_IDS,
    AccountOpened,
    AnyEvent,
    ApproveWithdrawal,
    CommandRefused,
    CorrectBalance,
    Deposit,
    DepositCredited,
    OpenAccount,
    Reason,
    RefuseWithdrawal,
    RequestWithdrawal,
    WithdrawalChanged,
)
from matching.state import State, text_is_sound
from risk.ledger import Account

Events = list[AnyEvent]

NAME_LENGTH_MAX = 32
USER_ID_MAX = 2**31 - 1
REFERENCE_LENGTH_MAX = 128
DESTINATION_LENGTH_MAX = 256
NOTE_LENGTH_MAX = 1_000


def open_account(state: State, command: OpenAccount) -> Events:
    """Open an account; a user's account names are unique."""
    name = command.name
    if not name or not text_is_sound(name, NAME_LENGTH_MAX) or not 0 < command.user_id <= USER_ID_MAX:
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    if (command.user_id, name) in state.account_names:
        return [CommandRefused(Reason.ALREADY_EXISTS)]
    account = Account(len(state.accounts) + 1, command.user_id, name, state.now)
    state.open_account(account)
    return [AccountOpened(account.id, account.owner, name, state.now)]


def deposit(state: State, command: Deposit) -> Events:
    """Credit an account from the outside world."""
    reason = _transfer_refusal(state, command.account_id, command.asset_id, command.amount)
    if reason or command.account_id in HOUSE_ACCOUNT_IDS:
        return [CommandRefused(reason or Reason.HOUSE_ACCOUNT)]
    if not text_is_sound(command.reference, REFERENCE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    balance = state.accounts[command.account_id].balance(command.asset_id)
    external = state.ledger.external(command.asset_id)
    state.ledger.pay(external, balance, command.amount, "deposit", state.sequence)
    return [
        DepositCredited(
            state.sequence, command.account_id, command.asset_id, command.amount, command.reference, state.now
        )
    ]


def request_withdrawal(state: State, command: RequestWithdrawal) -> Events:
    """Hold the amount until an operator decides; debit it at once if the command comes approved."""
    reason = _transfer_refusal(state, command.account_id, command.asset_id, command.amount)
    if reason or command.account_id in HOUSE_ACCOUNT_IDS:
        return [CommandRefused(reason or Reason.HOUSE_ACCOUNT)]
    if not text_is_sound(command.destination, DESTINATION_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    account = state.accounts[command.account_id]
    if account.frozen:
        return [CommandRefused(Reason.ACCOUNT_FROZEN)]
    balance = account.balance(command.asset_id)
    if command.amount > balance.available:
        return [CommandRefused(Reason.INSUFFICIENT_BALANCE)]
    state.ledger.hold(balance, command.amount)
    withdrawal = WithdrawalChanged(
        state.sequence, account.id, command.asset_id, command.amount, command.destination, "pending", "",
        state.now, state.now,
    )  # fmt: skip
    state.withdrawals[withdrawal.id] = withdrawal
    if command.approved:
        return [_pay_out(state, withdrawal, "")]
    return [withdrawal]


def approve_withdrawal(state: State, command: ApproveWithdrawal) -> Events:
    """Debit a pending withdrawal to the outside world."""
    withdrawal = state.withdrawals.get(command.withdrawal_id)
    if withdrawal is None:
        return [CommandRefused(Reason.UNKNOWN_WITHDRAWAL)]
    if state.accounts[withdrawal.account_id].frozen:
        return [CommandRefused(Reason.ACCOUNT_FROZEN)]
    if not text_is_sound(command.note, NOTE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    return [_pay_out(state, withdrawal, command.note)]


def refuse_withdrawal(state: State, command: RefuseWithdrawal) -> Events:
    """Give a pending withdrawal's amount back to the account."""
    withdrawal = state.withdrawals.get(command.withdrawal_id)
    if withdrawal is None:
        return [CommandRefused(Reason.UNKNOWN_WITHDRAWAL)]
    if not text_is_sound(command.note, NOTE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS)]
    del state.withdrawals[withdrawal.id]
    balance = state.accounts[withdrawal.account_id].balance(withdrawal.asset_id)
    state.ledger.release(balance, withdrawal.amount)
    return [_decided(state, withdrawal, "refused", command.note)]


def correct_balance(state: State, command: CorrectBalance) -> Events:
    """Move a signed amount between an account (the fees account too) and the outside world, for a stated reason."""
    reason = _transfer_refusal(state, command.account_id, command.asset_id, abs(command.amount))
    if reason or command.account_id == EXTERNAL_ACCOUNT_ID:
        return [CommandRefused(reason or Reason.HOUSE_ACCOUNT)]
    if not command.note.strip() or not text_is_sound(command.note, NOTE_LENGTH_MAX):
        return [CommandRefused(Reason.INVALID_PARAMETERS, "A correction needs a note that says why.")]
    balance = state.accounts[command.account_id].balance(command.asset_id)
    if command.account_id != FEES_ACCOUNT_ID and balance.available + command.amount < 0:
        return [CommandRefused(Reason.INSUFFICIENT_BALANCE)]
    state.ledger.pay(state.ledger.external(command.asset_id), balance, command.amount, "correction", state.sequence)
    return []


def _transfer_refusal(state: State, account_id: int, asset_id: int, amount: int) -> Reason | None:
    if account_id not in state.accounts:
        return Reason.UNKNOWN_ACCOUNT
    asset = state.assets.get(asset_id)
    if asset is None:
        return Reason.UNKNOWN_ASSET
    if amount <= 0 or amount + abs(state.ledger.external(asset_id).available) > asset.units_max:
        return Reason.INVALID_AMOUNT
    return None


def _pay_out(state: State, withdrawal: WithdrawalChanged, note: str) -> WithdrawalChanged:
    del state.withdrawals[withdrawal.id]
    balance = state.accounts[withdrawal.account_id].balance(withdrawal.asset_id)
    external = state.ledger.external(withdrawal.asset_id)
    state.ledger.pay_held(balance, external, withdrawal.amount, "withdrawal", withdrawal.id)
    return _decided(state, withdrawal, "paid", note)


def _decided(state: State, withdrawal: WithdrawalChanged, status: str, note: str) -> WithdrawalChanged:
    return WithdrawalChanged(
        withdrawal.id, withdrawal.account_id, withdrawal.asset_id, withdrawal.amount, withdrawal.destination,
        status, note, withdrawal.requested_at, state.now,  # type: ignore[arg-type]
    )  # fmt: skip
