"""The paths of signing up, signing in, and a person's own account."""

from django.urls import URLPattern, path

from trading.pages import accounts, api_keys_page, demo_pages, notifications, passwords, profile, security

urlpatterns: list[URLPattern] = [
    path("signup", accounts.sign_up, name="signup"),
    path("login", accounts.login, name="login"),
    path("login/code", accounts.login_code, name="login_code"),
    path("logout", accounts.logout, name="logout"),
    path("password/change", passwords.change, name="password_change"),
    path("password/reset", passwords.Reset.as_view(), name="password_reset"),
    path("password/reset/sent", passwords.ResetDone.as_view(), name="password_reset_done"),
    path("password/reset/<uidb64>/<token>", passwords.ResetConfirm.as_view(), name="password_reset_confirm"),
    path("account", profile.account, name="account"),
    path("account/appearance", profile.appearance, name="account_appearance"),
    path("account/security", security.security, name="account_security"),
    path("account/security/two-factor", security.two_factor_on, name="two_factor_on"),
    path("account/security/two-factor/off", security.two_factor_off, name="two_factor_off"),
    path("account/security/recovery-codes", security.recovery_codes, name="recovery_codes"),
    path("account/security/sessions/<uuid:public_id>/end", security.end_session, name="end_session"),
    path("account/security/sessions/end-others", security.end_other_sessions, name="end_other_sessions"),
    path("account/api-keys", api_keys_page.api_keys, name="account_api_keys"),
    path("account/api-keys/<int:key_id>/revoke", api_keys_page.revoke, name="revoke_api_key"),
    path("notifications", notifications.news, name="notifications"),
    path("notifications/read", notifications.read_all, name="read_notifications"),
    path("account/notifications", notifications.preferences, name="account_notifications"),
    path("account/notifications/timing", notifications.timing, name="notification_timing"),
    path("account/notifications/webhook", notifications.webhook, name="notification_webhook"),
    path("account/notifications/webhook/remove", notifications.remove_webhook, name="remove_webhook"),
    path("account/notifications/webhook/test", notifications.test_webhook, name="test_webhook"),
    path("account/notifications/deliveries/<int:delivery_id>/again", notifications.send_again, name="send_again"),
    path("demo/start", demo_pages.start, name="demo_start"),
    path("demo/funds", demo_pages.funds, name="demo_funds"),
]
