"""The forms of the account pages, and how every form of ours is drawn.

`PageForm` draws its fields with `templates/forms/field.html` and puts the focus on the first field, or the first that
is wrong. Rules live where they are kept: Django's password validators, `trading.api_keys`, `trading.people`.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time
from itertools import islice
from typing import Any

from django import forms
from django.contrib.auth import forms as auth_forms
from django.contrib.auth import password_validation
from django.core.validators import RegexValidator
from django.forms.renderers import TemplatesSetting
from django.utils import timezone

from risk.models import Account
from trading import people
from trading.api_keys import NETWORKS_MAX
from trading.models import User

USERNAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{2,31}\Z"
SCOPES = (
    ("read", "Read: see balances, orders, fills and the statement. It can change nothing."),
    ("trade", "Trade: place, amend and cancel orders. It cannot move money out."),
    ("withdraw", "Withdraw: ask for withdrawals. Give this only to a program that needs it."),
)


RESETS_PER_ADDRESS_MAX = 5

_MAIL = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mail")


class PageRenderer(TemplatesSetting):
    """Draws forms and fields with our templates and widgets with Django's."""

    form_template_name = "forms/form.html"
    field_template_name = "forms/field.html"


class PageForm(forms.Form):
    """A form in the clothes of our pages."""

    default_renderer = PageRenderer
    focus_first = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def get_context(self) -> dict[str, Any]:
        """What the template is given; decides which field has the focus."""
        wrong = [name for name in self.fields if self.is_bound and name in self.errors]
        first = wrong or (list(self.fields) if self.focus_first else [])
        for name, field in self.fields.items():
            field.widget.attrs["autofocus"] = name in first[:1]
        return super().get_context()


def _current_password() -> forms.CharField:
    return forms.CharField(
        label="Password",
        strip=False,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


def _code() -> forms.CharField:
    return forms.CharField(
        label="Code",
        max_length=32,
        help_text="The six digits that your authenticator app shows now.",
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "class": "code"}),
    )


def _in_our_words(form: forms.Form) -> None:
    """Django's password fields, with labels and help as on the other pages."""
    words = {
        "old_password": ("Present password", ""),
        "new_password1": ("New password", "At least 8 characters, and not a common password."),
        "new_password2": ("New password again", ""),
    }
    for name, field in form.fields.items():
        field.label, field.help_text = words[name]


class SignUpForm(PageForm):
    """A new user's name, e-mail and password."""

    username = forms.CharField(
        label="Username",
        validators=[RegexValidator(USERNAME_PATTERN, "3 to 32 letters, digits, dots, dashes or underscores.")],
        help_text="3 to 32 letters, digits, dots, dashes or underscores. It cannot be changed later.",
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false", "maxlength": 32}
        ),
    )
    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        help_text="For resetting a forgotten password.",
        widget=forms.EmailInput(attrs={"autocomplete": "email"}),
    )
    password = forms.CharField(
        label="Password",
        strip=False,
        max_length=4096,
        help_text="At least 8 characters, and not a common password.",
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def clean(self) -> dict[str, Any]:
        """Names are taken in every spelling, but for one's own sign-up that was not finished."""
        cleaned = super().clean() or self.cleaned_data
        username, password = cleaned.get("username"), cleaned.get("password")
        if password:
            try:
                password_validation.validate_password(
                    password, User(username=username or "", email=cleaned.get("email", ""))
                )
            except forms.ValidationError as error:
                self.add_error("password", error)
        if username and people.is_taken(username=username, password=password or ""):
            self.name_is_taken()
        return cleaned

    def name_is_taken(self) -> None:
        """Say so at the field."""
        self.add_error("username", "That name is taken. Choose another.")


class DemoSignUpForm(SignUpForm):
    """As SignUpForm, with test funds for the asking."""

    funds = forms.BooleanField(
        label="Start with test funds: 100,000 USDT, 2 BTC and 20 ETH", required=False, initial=True
    )


class LoginForm(PageForm, auth_forms.AuthenticationForm):
    """Username and password; Django's, which does the same work for names that nobody has."""

    username = auth_forms.UsernameField(
        label="Username",
        max_length=150,
        widget=forms.TextInput(
            attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"},
        ),
    )
    password = _current_password()
    error_messages = {
        "invalid_login": "The username or the password is wrong. Capitals count in both.",
        "inactive": "The username or the password is wrong. Capitals count in both.",
    }


class CodeForm(PageForm):
    """A code of the second factor."""

    code = _code()


class RecoveryCodeForm(PageForm):
    """The same field for a recovery code, which has letters."""

    code = forms.CharField(
        label="Recovery code",
        max_length=32,
        help_text="One of the codes that you kept when you turned two-factor on. Each works once.",
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false", "class": "code"}
        ),
    )


class PasswordForm(PageForm):
    """A signed-in person's password again, before something that matters."""

    password = _current_password()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, **kwargs)

    def clean_password(self) -> str:
        """It must be theirs."""
        password: str = self.cleaned_data["password"]
        if not self.user.check_password(password):
            raise forms.ValidationError("The password is wrong.")
        return password


class TwoFactorForm(PasswordForm):
    """The first code of a new authenticator app, with the password."""

    code = _code()
    field_order = ("code", "password")


class EmailForm(PageForm):
    """A new e-mail address, with the password by those who have one."""

    focus_first = False

    email = forms.EmailField(label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"}))
    password = _current_password()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        self.user = user
        super().__init__(*args, initial={"email": user.email}, **kwargs)
        if not user.has_usable_password():
            del self.fields["password"]

    clean_password = PasswordForm.clean_password


class AppearanceForm(PageForm):
    """Theme and palette."""

    focus_first = False

    theme = forms.ChoiceField(label="Theme", choices=User.THEMES, widget=forms.RadioSelect)
    palette = forms.ChoiceField(label="Buy and sell colours", choices=User.PALETTES, widget=forms.RadioSelect)


class PasswordChangeForm(PageForm, auth_forms.PasswordChangeForm):
    """Django's: the old password, and the new one twice."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        _in_our_words(self)


class SetPasswordForm(PageForm, auth_forms.SetPasswordForm):
    """Django's: the new password twice, by somebody who has proved otherwise who they are."""

    def __init__(self, user: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        _in_our_words(self)


class PasswordResetForm(PageForm, auth_forms.PasswordResetForm):
    """The address that a reset link is to be sent to.

    The e-mail leaves in a thread: how long the answer takes does not tell whether anybody has that address.
    """

    email = forms.EmailField(label="E-mail", max_length=254, widget=forms.EmailInput(attrs={"autocomplete": "email"}))

    def get_users(self, email: str) -> Iterator[Any]:
        """Django's choice, the oldest few: an address proves nothing, so many may have given the same."""
        return islice(iter(sorted(super().get_users(email), key=lambda user: user.pk)), RESETS_PER_ADDRESS_MAX)

    def send_mail(self, *args: Any, **kwargs: Any) -> None:
        """Send it soon; Django logs what fails."""
        _MAIL.submit(super().send_mail, *args, **kwargs)


class AccountChoice(forms.ModelChoiceField):
    """One of the accounts, by name."""

    def label_from_instance(self, obj: Any) -> str:
        """Its name."""
        return str(obj.name)


class ApiKeyForm(PageForm):
    """What an API key may do, from where and until when."""

    focus_first = False

    label = forms.CharField(
        label="Name", max_length=64, required=False, help_text="So that you know it again: “laptop bot”."
    )
    account = AccountChoice(label="Account", queryset=Account.objects.none(), empty_label=None, to_field_name="name")
    scopes = forms.MultipleChoiceField(
        label="What it may do", choices=SCOPES, initial=["read"], widget=forms.CheckboxSelectMultiple
    )
    networks = forms.CharField(
        label="Only from these addresses",
        required=False,
        max_length=2_000,
        help_text=f"Addresses or networks like 203.0.113.0/24, at most {NETWORKS_MAX}, one a line. Empty: everywhere.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )
    expires_on = forms.DateField(
        label="Last day",
        required=False,
        help_text="It works until the end of this day (UTC). Empty: until you revoke it.",
        widget=forms.DateInput(attrs={"type": "date"}),
    )
    public_key = forms.CharField(
        label="Ed25519 public key",
        required=False,
        max_length=1_000,
        help_text="Only if your program signs with a key of its own (PEM, OpenSSH or base64). Empty: we make a secret.",
        widget=forms.Textarea(attrs={"rows": 2, "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        account = self.fields["account"]
        assert isinstance(account, AccountChoice)
        account.queryset = Account.objects.filter(user=user).order_by("id")

    def clean_networks(self) -> list[str]:
        """Blanks, commas and line ends part them."""
        text: str = self.cleaned_data["networks"]
        return text.replace(",", " ").split()

    def clean_expires_on(self) -> datetime | None:
        """The end of that day."""
        day = self.cleaned_data["expires_on"]
        if day is None:
            return None
        end = datetime.combine(day, time.max, tzinfo=UTC)
        if end <= timezone.now():
            raise forms.ValidationError("That day is over already.")
        return end
