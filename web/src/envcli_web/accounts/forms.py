"""Forms of the account pages."""

from flask_wtf import FlaskForm
from wtforms import HiddenField, PasswordField, StringField, SubmitField
from wtforms.validators import EqualTo, InputRequired, Length

from envcli_web.accounts.passwords import MAXIMUM_LENGTH, MINIMUM_LENGTH


class SignUpForm(FlaskForm):  # type: ignore[misc]
    """A new account."""

    username = StringField(
        "User name",
        [InputRequired(), Length(3, 40)],
        description="3 to 40 letters, digits, dots, hyphens or underscores. Everybody can see it.",
        render_kw={"autocomplete": "username"},
    )
    password = PasswordField(
        "Password",
        [InputRequired(), Length(MINIMUM_LENGTH, MAXIMUM_LENGTH)],
        description=f"At least {MINIMUM_LENGTH} characters. A few unrelated words are fine.",
        render_kw={"autocomplete": "new-password"},
    )
    submit = SubmitField("Create account")


class SignInForm(FlaskForm):  # type: ignore[misc]
    """Name and password of an existing account."""

    username = StringField(
        "User name", [InputRequired(), Length(max=64)], render_kw={"autocomplete": "username"}
    )
    password = PasswordField(
        "Password",
        [InputRequired(), Length(max=MAXIMUM_LENGTH)],
        render_kw={"autocomplete": "current-password"},
    )
    next = HiddenField()
    submit = SubmitField("Sign in")


class ChangePasswordForm(FlaskForm):  # type: ignore[misc]
    """The present password and a new one."""

    current = PasswordField(
        "Present password", [InputRequired()], render_kw={"autocomplete": "current-password"}
    )
    new = PasswordField(
        "New password",
        [InputRequired(), Length(MINIMUM_LENGTH, MAXIMUM_LENGTH)],
        render_kw={"autocomplete": "new-password"},
    )
    again = PasswordField(
        "New password again",
        [EqualTo("new", "The two are not equal")],
        render_kw={"autocomplete": "new-password"},
    )
    submit = SubmitField("Change password")


class ButtonForm(FlaskForm):  # type: ignore[misc]
    """A single button that changes something, protected like every other form."""

    submit = SubmitField()
